"""The commands that print the numbers of a study again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import combinations
from typing import Any

__all__ = ["commands"]


def commands(source: Mapping[str, Any], asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the commands, each as (what it prints, command).

    source: of `source_of`; its `command` holds the options that chose the runs, where a command made the study.
    asked: `metric`, `x`, `law` (None for the one that forecasts best), its `pin` and `tie`, `on` and `families`; `budget` and `target` of the plan, where
    there is one.
    """
    chosen = list(source.get("command", ()))
    metric, x = ["--metric", asked["metric"]], ["--x", asked["x"]]
    named = ["--law", asked["law"]] if asked["law"] else []
    named += [word for letter, number in asked["pin"].items() for word in ("--pin", f"{letter}={number!r}")]
    named += [word for group in asked["tie"] for word in ("--tie", "=".join(group))]
    law = [*named, "--on", asked["on"]]
    several = len(asked["families"]) > 1
    lines = [
        ("the law with its intervals", _line("fit", *metric, *x, *law, *chosen)),
        (
            "the forecast, and what every law forecast of runs held out",
            _line("fit", *metric, *x, "--law", "auto", "--on", asked["on"], *chosen),
        ),
        ("the frontier and every cell", _line("frontier", *metric, *x, *chosen)),
    ]
    for family in asked["families"]:
        own = ["--family", family] if several else []
        lines.append(
            (
                f"best size and epochs{f' of {family}' if several else ''}",
                _line("frontier", "--optimum", *own, *metric, *x, *chosen),
            )
        )
    for a, b in combinations(asked["families"], 2):
        lines.append(
            (f"{a} and {b} at equal compute", _line("compare", "--by", "family", "--a", a, "--b", b, *metric, *x, *chosen))
        )
    if "budget" in asked:
        budget = asked["budget"]
        aim = ["--budget", budget if isinstance(budget, str) else f"{budget:g}", "--target", f"{asked['target']:g}"]
        lines.append(("what to run next", _line("plan", *aim, *metric, *x, *([] if asked["law"] == "auto" else named), *chosen)))
    return [*lines, ("this report", _line("report", "-o", "report.html", *metric, *x, *law, *chosen))]


def _line(*words: str) -> str:
    return shlex.join(["scaling", *words])
