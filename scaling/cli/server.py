"""`--server URL`: the reading commands over the HTTP API of a `scaling serve` elsewhere, where its store is no file of this machine."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from scaling.columns import SCHEMA_VERSION
from scaling.errors import ScalingError, ServerError, UsageError

__all__ = ["Server"]

_SECONDS = 60
_RUNS_A_PAGE = 1000


class Server:
    """Answers of `/api/v1`, as dictionaries.

    Raises `UsageError` for what is no address, `ServerError` when nobody answers there, or something else than `scaling serve`.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--server {url!r} is not an address", hint="--server http://host:8000, where `scaling serve` runs")
        self.url = url.rstrip("/")

    def runs(self, *, experiment: str | None = None, status: list[str] | None = None) -> list[dict[str, Any]]:
        """All runs that match, oldest first, page after page."""
        rows: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"experiment": experiment, "status": status, "limit": _RUNS_A_PAGE}
        while True:
            page = self.get("/runs", **asked)
            rows += page["runs"]
            if page["next"] is None:
                return rows
            asked["next"] = page["next"]

    def run(self, prefix: str) -> dict[str, Any]:
        """`{"run": …}`: one run with its attempts, evaluations and curves."""
        return self.get(f"/runs/{quote(prefix, safe='')}")

    def experiments(self) -> dict[str, Any]:
        """`{"experiments": […], "scheduler": …}`."""
        return self.get("/experiments")

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a GET of `/api/v1<path>`. An error of the server is raised here as it would be there."""
        query = urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True)
        address = f"{self.url}/api/v1{path}" + (f"?{query}" if query else "")
        try:
            with urlopen(Request(address, headers={"Accept": "application/json"}), timeout=_SECONDS) as answer:
                content = json.load(answer)
        except HTTPError as error:
            raise self._problem(error) from error
        except (URLError, TimeoutError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"nobody answers at {self.url}: {reason}", hint="is `scaling serve --host … --port …` running there?"
            ) from error
        except ValueError as error:
            raise self._not_scaling() from error
        found = content.get("schema_version") if isinstance(content, dict) else None
        if found is None:
            raise self._not_scaling()
        if found != SCHEMA_VERSION:
            raise ServerError(
                f"{self.url} answers in schema {found}, this version reads {SCHEMA_VERSION}",
                hint="use the same version on both sides",
            )
        return content

    def _problem(self, error: HTTPError) -> ScalingError:
        try:
            problem = json.load(error)
            detail, hint = problem["detail"], problem.get("hint") or ""
        except (ValueError, KeyError, TypeError):
            return self._not_scaling()
        return (UsageError if error.code < 500 else ServerError)(detail, hint=hint)

    def _not_scaling(self) -> ServerError:
        return ServerError(f"what answers at {self.url} is not `scaling serve`", hint="check host and port")
