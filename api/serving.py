"""The server process: it ends with open event streams, and starts what computes answers."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from api.unfinished import CutsUnfinished

__all__ = ["PATIENCE_SECONDS", "Server"]

PATIENCE_SECONDS = 0.05
"""How long a page waits for a new answer before it shows the last one: a small store is answered anew, a large one at once."""


class Server(uvicorn.Server):
    """Serves an application of `create_app`; on its way out it ends the event streams, which else keep it for ever."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, http=CutsUnfinished, ws="none"))
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.watcher.close()
        await super().shutdown(sockets)
