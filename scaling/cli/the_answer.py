"""The answer as `scaling submit` prints it: what the runs took, what they say in about a dozen lines, and what to type next.

`scaling fit` has the details.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.rounding import amount, money, significant

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import Answer, Frontier, Regret
    from scaling.errors import ScalingError

__all__ = ["print_answer_in_short", "print_next", "print_no_law", "spent_words"]

_ROWS = 4


def spent_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what the runs took, in a line.

    As `54 runs: 53 finished, 1 diverged · 0.0161 core-hours of training, 0.0312 with start-up and evaluation`.
    rows: of `queries.runs`. Training that one run has from another counts once.
    """
    from scaling.columns import FINETUNING
    from scaling.outcomes import RunStatus

    states = [row["status"] for row in rows]
    counts = ", ".join(f"{states.count(status)} {status}" for status in RunStatus if status in states)
    tuned = [row for row in rows if row["stage"] == FINETUNING]
    useful, in_tuning = (
        sum((row["core_hours"] or 0.0) - (row["inherited_core_hours"] or 0.0) for row in some) for some in (rows, tuned)
    )
    spent = f"{amount(useful)} core-hours of training"
    if tuned:
        spent = f"{amount(useful - in_tuning)} core-hours of pre-training, {amount(in_tuning)} of fine-tuning"
    held = sum(row["allocated_core_hours"] or 0.0 for row in rows)
    paid = {row.get("currency") for row in rows if row["allocated_core_hours"]}
    cost = sum(row["allocated_cost"] or 0.0 for row in rows) if len(paid) == 1 and None not in paid else None
    return (
        f"{len(rows)} run{'' if len(rows) == 1 else 's'}: {counts} · {spent}, "
        f"{amount(held)} with start-up and evaluation{'' if cost is None else f' ({money(cost, *paid)})'}"
    )


def print_answer_in_short(out: Console, said: Answer, cost: Regret | None) -> None:
    """Print the headline, both lights, and the compute-optimal cells, an even spread of them where they are many."""
    from rich.text import Text

    from analysis.headline import headline

    out.print(Text(headline(said, cost), "bold"), soft_wrap=True)
    for light, line in zip((said.law.lights.identified, said.law.lights.forecasts_well), said.light_lines(), strict=True):
        out.print(Text(f"  {line}", {True: "green", False: "yellow", None: ""}[light.ok]), soft_wrap=True)
    if said.frontier is not None:
        _print_best(out, said.frontier)


def print_no_law(out: Console, why_not: ScalingError) -> None:
    """Print why there is no law, and what to do."""
    out.print(f"no law yet: {why_not}", highlight=False, markup=False, soft_wrap=True)
    if why_not.hint:
        out.print(f"  {why_not.hint}", highlight=False, markup=False, soft_wrap=True)


def print_next(err: Console, said: Answer | None, options: Sequence[str], *, finetuned: Answer | None = None) -> None:
    """Print commands that go on from here, with numbers that fit these runs. options: those that choose the same runs."""
    import shlex

    from analysis.sentence import next_commands

    db = [word for flag, value in pairwise(options) if flag == "--db" for word in (flag, value)]
    lines = [(shlex.join(["scaling", "serve", *db]), "everything in the browser")]
    if said is not None:
        codes = f"the law in full{': ' if said.codes else ''}{', '.join(said.codes)}"
        lines = [(shlex.join(["scaling", "fit", *options]), codes), *next_commands(said, options), *lines]
    else:
        lines = [(shlex.join(["scaling", "runs", *options]), "every run, and why it ended"), *lines]
    if finetuned is not None:
        asked = ["--metric", finetuned.law.metric, *options]
        of_finetuned = [(shlex.join(["scaling", "fit", *asked]), "the law after fine-tuning in full")]
        of_finetuned.append((shlex.join(["scaling", "transfer", *options]), "whether another checkpoint is best after fine-tuning"))
        lines = [*lines[:-1], *of_finetuned, lines[-1]]
    width = max(len(command) for command, _ in lines)
    err.print("next", highlight=False)
    for command, what in dict(lines).items():
        err.print(f"  {command.ljust(width)}   {what}", highlight=False, markup=False, soft_wrap=True)


def _print_best(out: Console, found: Frontier) -> None:
    from rich.table import Column, Table

    from analysis.reading.prices import head_of

    best = found.best()
    shown = best.iloc[np.unique(np.linspace(0, len(best) - 1, min(_ROWS, len(best))).round().astype(int))]
    some = f" ({len(shown)} of {len(best)})" if len(shown) < len(best) else ""
    named = [
        name for name in ("family", "model", "epochs") if name in best and (name != "family" or found.points[name].nunique() > 1)
    ]
    heads = [Column(name, justify="left" if name in ("family", "model") else "right") for name in named]
    table = Table(
        Column(f"  compute-optimal{some} from {head_of(found.x, found.currency)}", justify="right"),
        *heads,
        Column(found.metric, justify="right"),
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for row in shown.to_dict("records"):
        cells = [f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in named]
        table.add_row(significant(row[f"{found.x}_from"], 3), *cells, significant(row[found.metric]))
    out.print(table)
