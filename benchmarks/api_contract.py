"""Holds the server against its openapi.json by schemathesis: links and bodies made from the description, answers checked against it.

    python benchmarks/api_contract.py              # every parameter at its edges, and 20 random requests a route: some 3,000

Prints what was asked and each fault; ends with 1 where there is one. The store is small and nobody has finished a run in it, so that no
request takes long; tests/api hold the answers of full stores against the same description.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Held", "held_against_its_description"]

TOKEN = "a token of thirty-two characters!"

_NOT_CHECKED = ["positive_data_acceptance"]
"""It asks that a request of the right types is answered. Ours may be refused with 422 all the same: too few runs, an unknown name."""


@dataclass
class Held:
    """Counts the requests of each route, and lists the faults: route, check, words."""

    asked: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str, str]] = field(default_factory=list)


def held_against_its_description(app: ASGIApp, *, examples: int, edges: bool, seed: int = 0) -> Held:
    """Ask an application for everything that it describes, but for the stream of events, which has no end.

    examples: random requests a route. edges: each parameter at its edges too, some 60 requests a route.
    """
    import schemathesis
    from schemathesis.engine import events, from_schema

    schema: Any = schemathesis.openapi.from_asgi("/openapi.json", _without_lifespan(app)).exclude(path="/api/v1/events")
    config = schema.config
    config.update(headers={"Authorization": f"Bearer {TOKEN}"})
    config.seed = seed
    config.generation.update(max_examples=examples, deterministic=True)
    config.checks.update(excluded_check_names=_NOT_CHECKED)
    config.phases.coverage.enabled, config.phases.stateful.enabled = edges, False
    found = Held()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.faults.append((str(getattr(event, "label", "")), "error", str(getattr(event, "exception", event))))
        if isinstance(event, events.ScenarioFinished):
            for checks in event.recorder.checks.values():
                found.asked[event.recorder.label] += 1
                failed = [check for check in checks if check.failure_info is not None]
                found.faults += [(event.recorder.label, check.name, str(check.failure_info.failure)) for check in failed]
    return found


def _without_lifespan(app: ASGIApp) -> ASGIApp:
    """Spare an application that schemathesis would begin and end it with every request."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        kind = ""
        while not kind.endswith("shutdown"):
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})

    return served


def main() -> None:
    from api import create_app
    from tests.api.small_grid import begin

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "begun.db"
        begin(path, finished=0)
        began = time.monotonic()
        found = held_against_its_description(create_app(str(path), token=TOKEN), examples=20, edges=True)
    for route, count in sorted(found.asked.items()):
        print(f"{count:5d}  {route}")
    print(
        f"{found.asked.total()} requests of {len(found.asked)} routes in {time.monotonic() - began:.0f} s: {len(found.faults)} faults"
    )
    for fault in found.faults:
        print(*fault, sep=" | ")
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()
