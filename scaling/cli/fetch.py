"""One answer over HTTP, of a stated size and within a stated time, from the host that was named and no other."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from queue import Empty, SimpleQueue
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from scaling.errors import ServerError

__all__ = ["Answer", "fetch", "origin_of"]

_SILENT_SECONDS = 60
_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Answer:
    """Holds an HTTP answer: `status` and `body`; `address` is where it came from after redirects."""

    status: int
    body: bytes
    address: str
    location: str | None = None


def fetch(address: str, *, most_bytes: int, seconds: float) -> Answer:
    """Send a GET and return the answer, whatever its status.

    Raises `ServerError` for more than `most_bytes`, after `seconds` in all, for a redirect to another host, and when nobody answers in
    HTTP.
    """
    came: SimpleQueue[Answer | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            came.put(_follow(address, most_bytes))
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            came.put(error)

    threading.Thread(
        target=ask, daemon=True
    ).start()  # no timeout of a socket bounds bytes that trickle in; what is left behind ends with us
    try:
        found = came.get(timeout=seconds)
    except Empty:
        raise ServerError(
            f"{_host(address)} did not answer whole within {seconds:.0f} seconds", hint="is the server busy, or the network slow?"
        ) from None
    if isinstance(found, Exception):
        raise _as_server_error(address, found) from found
    return found


def origin_of(address: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port. Raises `ValueError` for what is no address."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _follow(address: str, most_bytes: int) -> Answer:
    for _ in range(_REDIRECTS):
        answer = _ask(address, most_bytes)
        if answer.location is None:
            return answer
        target = urljoin(address, answer.location)
        if origin_of(target) != origin_of(address) and not _is_upgrade(address, target):
            raise ServerError(
                f"{_host(address)} sends on to {_host(target)}, another server", hint="give --server the address that you mean"
            )
        address = target
    raise ServerError(f"{_host(address)} sends on in a circle", hint="check the address and what is in front of `scaling serve`")


def _ask(address: str, most_bytes: int) -> Answer:
    request = Request(address, headers={"Accept": "application/json"})
    try:
        opened: Any = build_opener(_NoRedirects).open(request, timeout=_SILENT_SECONDS)
    except HTTPError as error:
        opened = error
    with opened:
        body = opened.read(most_bytes + 1)
        location = opened.headers.get("Location") if 300 <= opened.status < 400 else None
    if len(body) > most_bytes:
        raise ServerError(
            f"{_host(address)} answers with more than {most_bytes / 2**20:.0f} MiB",
            hint="check host and port: `scaling serve` does not",
        )
    return Answer(opened.status, body, address, location)


class _NoRedirects(HTTPRedirectHandler):
    """Leaves redirects to `_follow`: the library would read what comes with one to its end."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _is_upgrade(address: str, target: str) -> bool:
    """Say whether a redirect leads from http://host to https://host, each at its usual port."""
    _, host, port = origin_of(address)
    return port == 80 and origin_of(target) == ("https", host, 443)


def _host(address: str) -> str:
    scheme, host, port = origin_of(address)
    return f"{scheme}://{host}" + ("" if port == _PORTS.get(scheme) else f":{port}")


def _as_server_error(address: str, error: Exception) -> Exception:
    if isinstance(error, ServerError):
        return error
    if isinstance(error, (OSError, HTTPException, ValueError)):  # URLError and TimeoutError are OSErrors
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        return ServerError(
            f"nobody answers at {_host(address)}: {reason}", hint="is `scaling serve --host … --port …` running there?"
        )
    return error
