"""The name in a request's `Host` header: only names that nobody else can give to this machine are answered.

A page of another site can make its own name point at this machine (DNS rebinding), and then reads whatever answers to that name.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import cache

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response
from scaling.errors import UsageError

__all__ = ["AllowedHosts", "host_name", "host_names"]

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_HOST = re.compile(r"(?P<name>\[[^\[\]]+\]|[^\[\]:]+)(:[0-9]{0,5})?")


def host_name(text: str) -> str | None:
    """Read the name in a `Host` header: in lower case, without port, brackets and final dot; None for what is no name and no address."""
    found = _HOST.fullmatch(text.strip())
    if found is None:
        return None
    if found["name"].startswith("["):
        return found["name"][1:-1] if _is_address(found["name"][1:-1]) else None
    name = found["name"].lower().removesuffix(".")
    return name if _is_address(name) or _NAME.fullmatch(name) else None


def host_names(given: Iterable[str]) -> list[str]:
    """Return the names to allow, as `host_name` writes them. Raises `UsageError` for one that is no name."""
    found = {name: host_name(name) for name in given}
    for name, known in found.items():
        if known is None:
            raise UsageError(f"--allow-host {name!r} is not a host's name", hint="the name alone: --allow-host scaling.example.org")
    return [known for known in found.values() if known is not None]


class AllowedHosts:
    """Answers 421 to a request whose `Host` is no IP address, not localhost, none of the machine's names and none of `names`.

    It is ASGI middleware.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not await self._is_for_us(scope):
            given = ", ".join(_hosts_of(scope)) or "nobody"
            await problem_response(
                421,
                f"this request is for {given[:100]!r}, which is not known as a name of this machine",
                hint="use its IP address, or start it with `scaling serve --allow-host NAME`",
            )(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _is_for_us(self, scope: Scope) -> bool:
        hosts = _hosts_of(scope)
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None:
            return False
        if _is_address(name) or name == "localhost" or name.endswith(".localhost") or name in self._names:
            return True
        server, *_ = scope.get("server") or (None,)  # where the server itself says that it listens
        return name == server or name in await run_in_threadpool(_own_names)


def _hosts_of(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.replace("%25", "%"))  # a zone: fe80::1%25eth0
    except ValueError:
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    """Return the names that this machine has for itself: short, in full, and on the local network."""
    name = socket.gethostname().lower().removesuffix(".")
    short = name.partition(".")[0]
    return frozenset(filter(None, (name, short, f"{short}.local" if short else "", socket.getfqdn().lower().removesuffix("."))))
