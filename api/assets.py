"""Files for the browser, all served from here: plotly.js (`analysis.figures.script`), swagger-ui, and our own style and scripts.

swagger-ui lies in static/swagger as npm's `swagger-ui-dist` has it, compressed; its licence stands beside it.

A URL carries the version or a digest of the content, so the browser may keep it for ever. A file is compressed once, when first asked for.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from analysis import presentation
from analysis.figures.script import plotly_js, plotly_js_packed, plotly_version

__all__ = ["asset_url", "router"]

PLOTLY = "plotly.js"
_SWAGGER, _SWAGGER_VERSION = ("swagger-ui-bundle.js", "swagger-ui.css"), "5.35.0"
_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGES = tuple(entry.name for entry in files("api").joinpath("static").iterdir() if entry.name.rpartition(".")[2] in _MEDIA_TYPES)
_OWN = tuple(sorted((*_PAGES, *presentation.STATIC)))


@dataclass(frozen=True)
class _Asset:
    plain: bytes
    as_packed: bytes | None = None

    @cached_property
    def packed(self) -> bytes:
        return self.as_packed or gzip.compress(self.plain, compresslevel=6, mtime=0)


@cache
def asset_url(name: str) -> str:
    """Return the URL of a file: `/assets/plotly-4.1.1.js` for `plotly.js`, `/assets/charts-<digest>.js` for our `charts.js`."""
    stem, _, kind = name.rpartition(".")
    return f"/assets/{stem}-{_version(name)}.{kind}"


router = APIRouter(include_in_schema=False)


@router.get("/assets/{file}")
def asset(file: str, request: Request) -> Response:
    name = next((name for name in (PLOTLY, *_SWAGGER, *_OWN) if asset_url(name) == f"/assets/{file}"), None)
    if name is None:
        raise HTTPException(404)
    found = _asset(name)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    media_type = f"{_MEDIA_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(found.plain, headers={**headers, "Content-Encoding": "identity"}, media_type=media_type)


@cache
def _asset(name: str) -> _Asset:
    if name == PLOTLY:
        return _Asset(plotly_js().encode(), plotly_js_packed())
    if name in _SWAGGER:
        packed = files("api").joinpath("static", "swagger", f"{name}.gz").read_bytes()
        return _Asset(gzip.decompress(packed), packed)
    return _Asset(presentation.static(name) if name in presentation.STATIC else files("api").joinpath("static", name).read_bytes())


def _version(name: str) -> str:
    if name == PLOTLY:
        return plotly_version()
    if name in _SWAGGER:
        return _SWAGGER_VERSION
    return hashlib.sha256(_asset(name).plain).hexdigest()[:10]
