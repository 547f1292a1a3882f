"""The commands that print the numbers of a study again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["commands"]


def commands(source: Mapping[str, Any], asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what it prints, command) each.

    source: of `source_of`; its `command` holds the options that chose the runs, where a command made the study.
    asked: `metric`, `x`, `law`, `on`.
    """
    chosen = list(source.get("command", ()))
    metric, x = ["--metric", asked["metric"]], ["--x", asked["x"]]
    law = ["--law", asked["law"], "--on", asked["on"]]
    return [
        ("the law with its intervals", _line("fit", *metric, *x, *law, *chosen)),
        ("the frontier and every cell", _line("frontier", *metric, *x, *chosen)),
        ("this report", _line("report", "-o", "report.html", *metric, *x, *law, *chosen)),
    ]


def _line(*words: str) -> str:
    return shlex.join(["scaling", *words])
