"""Figures of a large page, kept apart from it: the browser draws the page first, and asks for a figure only when it has changed."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict

from starlette.responses import Response

from api.problems import problem_response

__all__ = ["PREFIX", "Figures"]

PREFIX = "/figures/"

_LARGE_PAGE, _LARGE_FIGURE = 150_000, 10_000  # bytes
_MOST_BYTES = 64 * 2**20
_FIGURE = re.compile(rb'<script type="application/json">(.*?)</script>', re.DOTALL)
_ADDRESS, _EARLY = re.compile(rb'data-src="([^"]*)"'), b'<link rel="preload" as="fetch" href="%s" crossorigin>\n'


class Figures:
    """Keeps the figures of pages by the digest of their content, those that were taken out of a page last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def apart(self, page: bytes) -> bytes:
        """Return a page of more than 150 kB with the address of each of its figures in place of the figure; any other as it is.

        Its head names the addresses too: so a browser asks for the figures while it reads the page, not when its scripts run.
        """
        if len(page) <= _LARGE_PAGE:
            return page
        small = _FIGURE.sub(self._address, page)
        early = b"".join(_EARLY % address for address in _ADDRESS.findall(small))
        return small.replace(b"</head>", early + b"</head>", 1)

    def response(self, path: str) -> Response:
        """Answer `/figures/<digest>.json`; 404 for a figure of a page that is long gone."""
        found = self._kept.get(path.removeprefix(PREFIX).removesuffix(".json"))
        if found is None:
            return problem_response(404, f"there is no figure at {path}", hint="it is of an old page: load the page again")
        return Response(found, media_type="application/json", headers={"Cache-Control": "private, max-age=31536000, immutable"})

    def _address(self, found: re.Match[bytes]) -> bytes:
        figure = found[1]
        if len(figure) < _LARGE_FIGURE:
            return found[0]
        digest = hashlib.sha256(figure).hexdigest()[:20]
        if digest not in self._kept:
            self._kept[digest] = figure
            self._bytes += len(figure)
        self._kept.move_to_end(digest)
        while self._bytes > _MOST_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest)
        return f'<script type="application/json" data-src="{PREFIX}{digest}.json"></script>'.encode()
