"""`--server URL`: the reading commands over the HTTP API of a `scaling serve` elsewhere, where its store is no file of this machine.

The answer is not trusted: `fetch` bounds its size and time, `answers` looks at what is in it, and here the pages are counted.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote, urlencode

from scaling.cli.answers import Malformed, answer_in
from scaling.cli.fetch import Answer, fetch, origin_of
from scaling.columns import SCHEMA_VERSION
from scaling.errors import ScalingError, ServerError, UsageError

__all__ = ["Server"]

_RUNS_A_PAGE = 1000
_ANSWER_SECONDS = 60.0
_ANSWER_BYTES = 64 * 2**20
_ALL_SECONDS = 300.0
_ALL_BYTES = 512 * 2**20
"""Most bytes that one command reads; 300,000 runs are less."""
_PAGES = 2_000
_LONGEST_MESSAGE = 1_000


class Server:
    """Reads the answers of `/api/v1` of a server, as dictionaries.

    Raises `UsageError` for what is no address, `ServerError` when nobody answers there, something else than `scaling serve`, or too much.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if not _is_address(self.url):
            raise UsageError(f"--server {url!r} is not an address", hint="--server http://host:8000, where `scaling serve` runs")
        self._deadline = time.monotonic() + _ALL_SECONDS
        self._bytes_left = _ALL_BYTES

    def runs(self, *, experiment: str | None = None, status: list[str] | None = None) -> list[dict[str, object]]:
        """Read all runs that match, oldest first, page after page."""
        rows: list[dict[str, object]] = []
        asked: dict[str, object] = {"experiment": experiment, "status": status, "limit": _RUNS_A_PAGE}
        for _ in range(_PAGES):
            page = self.get("/runs", **asked)
            rows += page["runs"]
            if page["next"] is None:
                return rows
            if not page["runs"] or len(page["runs"]) > _RUNS_A_PAGE or page["next"] == asked.get("next"):
                raise self._malformed("its pages lead nowhere")
            asked["next"] = page["next"]
        raise self._malformed(f"it has more than {_PAGES:,} pages")

    def run(self, prefix: str) -> dict[str, object]:
        """Read `{"run": …}`: one run with its attempts, evaluations and curves."""
        return self.get(f"/runs/{quote(prefix, safe='')}")

    def experiments(self) -> dict[str, Any]:
        """Read `{"experiments": […], "scheduler": …}`."""
        return self.get("/experiments")

    def get(self, path: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to a GET of `/api/v1<path>`. An error of the server is raised here as it would be there."""
        query = urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True)
        answer = self._fetch(f"{self.url}/api/v1{path}" + (f"?{query}" if query else ""))
        if answer.status != 200:
            raise self._problem(answer)
        try:
            content = answer_in(answer.body, path)
        except Malformed as error:
            raise self._malformed(str(error)) from error
        if content["schema_version"] != SCHEMA_VERSION:
            raise ServerError(
                f"{self.url} answers in schema {str(content['schema_version'])[:20]}, this version reads {SCHEMA_VERSION}",
                hint="use the same version on both sides",
            )
        return content

    def _fetch(self, address: str) -> Answer:
        seconds = min(_ANSWER_SECONDS, self._deadline - time.monotonic())
        if seconds <= 0 or self._bytes_left <= 0:
            raise ServerError(
                f"{self.url} answers more than {_ALL_BYTES / 2**20:.0f} MiB, or for more than {_ALL_SECONDS:.0f} seconds",
                hint="ask for less: --experiment NAME, --status STATUS",
            )
        answer = fetch(address, most_bytes=min(_ANSWER_BYTES, self._bytes_left), seconds=seconds)
        self._bytes_left -= len(answer.body)
        return answer

    def _problem(self, answer: Answer) -> ScalingError:
        try:
            problem = json.loads(answer.body)
            detail, hint = problem["detail"], problem.get("hint") or ""
            is_said = isinstance(detail, str) and isinstance(hint, str)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            is_said = False
        if not is_said:
            return self._malformed(f"it has status {answer.status} and gives no reason")
        detail, hint = (text[:_LONGEST_MESSAGE].encode(errors="replace").decode() for text in (detail, hint))
        return (UsageError if 400 <= answer.status < 500 else ServerError)(detail, hint=hint)

    def _malformed(self, why: str) -> ServerError:
        return ServerError(f"what answers at {self.url} is not `scaling serve` ({why})", hint="check host and port")


def _is_address(url: str) -> bool:
    try:
        scheme, host, _ = origin_of(url)
    except ValueError:
        return False
    return scheme in ("http", "https") and bool(host) and url.isprintable() and " " not in url
