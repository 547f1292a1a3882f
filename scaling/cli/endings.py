"""Lines on runs that did not finish, for people: a reason that several runs share is said once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["endings", "reasons", "skipped"]

_SAID_ONCE = ("failed", "pending")
_NAMED = 3


def endings(rows: Iterable[Mapping[str, object]], describe: Callable[[Mapping[str, object]], str]) -> list[str]:
    """Write one line for runs that failed or wait for the same reason, and one for each other run, in the order of the rows.

    describe: writes a run that has its line for itself. At which rate runs diverged is told of each.
    """
    return [f"{status}: {whose}{f': {reason}' if reason else ''}" for status, whose, reason in _alike(rows, describe)]


def reasons(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Write the same lines as `endings`, for below a table that shows the states already."""
    return [f"{whose}: {reason}" for _, whose, reason in _alike(rows, lambda row: row["id"])]


def _alike(rows: Iterable[Mapping[str, Any]], describe: Callable[[Mapping[str, Any]], str]) -> Iterator[tuple[str, str, str]]:
    """Yield status, whose and reason, each once."""
    alike: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        whose = "" if row["status"] in _SAID_ONCE else row["id"]
        alike.setdefault((row["status"], row["reason"].partition("\n")[0], whose), []).append(row)
    for (status, reason, _), runs in alike.items():
        named = ", ".join(row["id"] for row in runs[:_NAMED]) + (", …" if len(runs) > _NAMED else "")
        yield status, describe(runs[0]) if len(runs) == 1 else f"{len(runs)} runs ({named})", reason


def skipped(experiment: Mapping[str, Any]) -> str | None:
    """Write a line on the images that an experiment's runs left out; None where they left out none.

    experiment: of `queries.experiments`.
    """
    found = experiment.get("skipped")
    if not found:
        return None
    images, runs = found["examples"], found["runs"]
    up_to = "up to " if runs > 1 else ""
    return (
        f"{experiment['name']}: {runs} run{'s' if runs > 1 else ''} skipped {up_to}{images:,} training image{'s' if images > 1 else ''}"
        f"{' each' if runs > 1 else ''} that could not be read; `scaling audit RUN` names them"
    )
