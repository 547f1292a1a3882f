"""`scaling serve`: the pages and the JSON API."""

from __future__ import annotations

import errno
import signal
import socket
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from scaling.cli.options import Db
from scaling.errors import ScalingError, UsageError

__all__ = ["EXAMPLES", "serve_command"]

EXAMPLES = """
scaling serve                    pages at http://127.0.0.1:8000/frontier

scaling serve --db other.db --port 8001

scaling serve --host 0.0.0.0     read from your network, without a login

scaling serve --host 0.0.0.0 --allow-host scaling.example.org     also under that name

scaling serve --token-file token     with buttons that pause, cancel and retry runs, for those who have the token
"""


def serve_command(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A name under which browsers and --server reach it, besides this machine's own; repeatable."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="SCALING_TOKEN_FILE",
            help="Who has the token in this file may pause, resume, cancel, retry and exclude runs; without it nobody may.",
        ),
    ] = None,
    db: Db = "scaling.db",
) -> None:
    """Serve the pages and the JSON API over the store.

    Runs until Ctrl-C or SIGTERM. The store may appear or change while it runs; nothing is
    written to it, unless --token-file lets those who have its token change runs.
    Programs send it with a request, people log in at /login. It answers to IP addresses, to localhost, to the names of this
    machine and to those of --allow-host. A request for another name gets 421, so
    that no page of another site can read it.
    """
    with _listen(host, port) as listener, suppress(KeyboardInterrupt):  # Ctrl-C is how a server is meant to end
        signal.signal(signal.SIGTERM, _as_ctrl_c)
        from api import create_app
        from api.serving import PATIENCE_SECONDS, Server
        from api.token import read_token

        names, token = [*(allow_host or ()), *_name_of(host)], None if token_file is None else read_token(token_file)
        server = Server(create_app(db, allow_hosts=names, own_process=True, patience_seconds=PATIENCE_SECONDS, token=token))
        typer.echo(f"{_url(listener)}/frontier   (Ctrl-C stops it)", err=True)
        server.run(sockets=[listener])


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C: Python's own answer to SIGTERM ends the process where it is, and leaves the worker's semaphores behind."""
    raise KeyboardInterrupt


def _name_of(host: str) -> list[str]:
    """Return the name that --host gives the machine, if it is a name: `myhost.lan`, not an address with a zone."""
    return [] if ":" in host else [host]


def _listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens, before anything slow is loaded, so that a port in use is known at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise UsageError(
            f"--host {host!r} is not an address of this machine: {error.strerror}", hint="127.0.0.1 serves this machine alone"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _cannot_listen(error, host, port) from error
    return listener


def _cannot_listen(error: OSError, host: str, port: int) -> ScalingError:
    if error.errno == errno.EADDRINUSE:
        return ScalingError(
            f"port {port} of {host} is in use",
            hint=f"another one: --port {port + 1 if port < 65535 else 8000}; or stop what listens there",
        )
    if error.errno == errno.EACCES:
        return ScalingError(f"port {port} is reserved for the administrator", hint="a port from 1024 on: --port 8000")
    return UsageError(f"cannot listen on {host} port {port}: {error.strerror}", hint="127.0.0.1 serves this machine alone")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
