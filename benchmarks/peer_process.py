"""The other side of a benchmark, in a process of its own: a script of `benchmarks/peers/` and an interpreter that has what it needs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["Peer"]


class Peer:
    """Asks a peer questions, each a line of JSON that it answers with one."""

    def __init__(self, python: str, script: str) -> None:
        path = Path(__file__).parent / "peers" / script
        self.process = subprocess.Popen([python, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
