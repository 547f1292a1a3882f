"""`scaling status`: experiments, their runs by state, what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer

from scaling.cli.options import AsCsv, AsJson, Db, Server
from scaling.errors import UsageError
from scaling.rounding import amount, money, significant

__all__ = ["EXAMPLES", "status_command"]

EXAMPLES = """
scaling status

scaling status --watch  # goes on until nothing is left to do

scaling status --json  # the same for a script

scaling status --csv > experiments.csv

scaling status --server http://head:8000  # of a store elsewhere
"""


_WRONG, _READ, _SHOWN = ["failed", "diverged", "stopped"], 1000, 20


def status_command(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the progress as `submit` does, until no run is pending or in training.")
    ] = False,
    db: Db = "scaling.db",
    server: Server = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show experiments: runs by state, core-hours done and estimated, best loss.

    "core-hours" are useful ones, as if each run had been done alone; where runs
    share steps, a line says what the grid did cost. "paid" is the money for the
    allocated ones, where the file has a `price`; "cost" elsewhere is that of the
    useful ones. Runs that failed or
    are held back by a fault of their data have their reason below. So have those that
    ask again and again to be started anew. A reason that several share is said once. "estimates off by" says how far a run's
    estimate at its start lies from what it took: the median over finished runs.
    """
    from scaling.cli.runs_input import refuse_both

    refuse_both(as_json, as_csv)
    if watch:
        if as_json or as_csv:
            raise UsageError(
                f"--watch and --{'json' if as_json else 'csv'} do not go together",
                hint="`GET /api/v1/events` of `scaling serve` is a stream",
            )
        from scaling.cli.watching import looks_at
        from scaling.cli.watching import watch as watch_progress

        with suppress(KeyboardInterrupt):  # Ctrl-C is how it is meant to end
            watch_progress(looks_at(db, server))
        return
    found, failed = _of_the_store(db) if server is None else _of_the_server(server)
    if as_json:
        from scaling.cli.output import print_json

        print_json(found)
        return
    if as_csv:
        from orchestrator.store.payloads import experiments_csv
        from scaling.cli.output import print_text

        print_text(experiments_csv(found["experiments"]))
        return

    from rich.table import Table

    from scaling.cli.endings import endings, skipped
    from scaling.cli.output import console
    from scaling.columns import model_title
    from scaling.outcomes import NO_BETTER_THAN_GUESSING
    from scaling.waiting import Waiting

    is_priced = any(row.get("currency") for row in found["experiments"])
    costs = ("paid",) if is_priced else ()
    table = Table(
        "experiment",
        "runs by state",
        *[_right(name) for name in ("core hours", "allocated", *costs, "estimated", "estimates off by", "budget", "best val_loss")],
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for row in found["experiments"]:
        states = ", ".join(f"{count} {state}" for state, count in row["runs"].items())
        if searched := row["searches"]:
            states += f"; learning rates found in {searched['settled']} of {searched['cells']} cells"
        table.add_row(
            f"{row['name']} (simulated)" if row["simulated"] else row["name"],
            states,
            amount(row["core_hours"]),
            amount(row["allocated_core_hours"]),
            *([money(row.get("allocated_cost"), row.get("currency"))] if is_priced else []),
            amount(row["estimated_core_hours"]),
            "–" if row["estimate_error"] is None else f"{100 * row['estimate_error']:.0f} %",
            _budget(row),
            significant(row["best_val_loss"]),
        )
    out = console()
    out.print(table)
    for row in found["experiments"]:
        for sentence in (row["searches"] or {}).get("found") or ():
            out.print(f"{row['name']}: {sentence}", highlight=False, markup=False)
        for sentence in (row["searches"] or {}).get("stuck", ()):
            out.print(f"{row['name']}: no learning rate for {sentence}", highlight=False)
        if tuned := row.get("finetuning"):
            out.print(f"{row['name']}: {_finetuning(tuned)}", highlight=False)
        if left := Waiting.of(row["runs"]):
            goes_on = "" if found["scheduler"] else f"; `scaling submit {row.get('file') or 'FILE'}` goes on with them"
            out.print(f"{row['name']}: {left}{goes_on}", highlight=False, markup=False)
        if line := skipped(row):
            out.print(line, highlight=False)
        if row["inherited_core_hours"]:
            out.print(
                f"{row['name']} did cost {amount(row['spent_core_hours'])} core-hours; its runs would cost "
                f"{amount(row['core_hours'])} alone: {row['saved']:.0%} saved by shared trunks",
                highlight=False,
            )
        if guessing := row.get("no_better_than_guessing"):
            out.print(
                f"{row['name']}: {NO_BETTER_THAN_GUESSING}: {len(guessing)} finished run{'s' if len(guessing) > 1 else ''} "
                f"({', '.join(guessing[:_SHOWN])}); `scaling runs ID` says by how much",
                highlight=False,
            )
    scheduler = found["scheduler"]
    out.print()
    if scheduler:
        out.print(f"scheduler: {scheduler['holder']} (pid {scheduler['pid']})")
    elif left := found.get("interrupted"):  # a server of an earlier version does not say
        out.print(f"scheduler gone, {left} interrupted; `scaling submit` goes on from their last checkpoints", highlight=False)
    else:
        out.print("no scheduler is running")
    described = endings(failed, lambda row: f"{row['id']} {model_title(row)}{_of_cell(row)}")
    for line in described[:_SHOWN]:
        out.print(line, highlight=False)


def _of_cell(row: Mapping[str, Any]) -> str:
    """Write epochs and learning rate, as far as an imported run says them."""
    epochs, rate = row["epochs"], row["learning_rate"]
    return ("" if epochs is None else f", {epochs:g} epochs") + ("" if rate is None else f", lr {rate:g}")


def _finetuning(found: Mapping[str, Any]) -> str:
    """Write what fine-tuning has come to so far, in a line."""
    if not found["runs"]:
        return "fine-tuning begins once it is known which runs it starts from"
    states = ", ".join(f"{count} {state}" for state, count in found["runs"].items())
    spent = f"{amount(found['core_hours'])} of its core-hours, {amount(found['allocated_core_hours'])} allocated"
    best = "" if found["best_val_loss"] is None else f", best val_loss {significant(found['best_val_loss'])}"
    best += "" if found["best_top1"] is None else f", best val_top1 {significant(found['best_top1'])}"
    return f"fine-tuning has {states}: {spent}{best}"


def _budget(row: Mapping[str, Any]) -> str:
    """Write the caps of an experiment: core-hours, money, or both."""
    caps = [amount(row["budget_core_hours"])] if row["budget_core_hours"] is not None else []
    caps += [money(row["budget_cost"], row["currency"])] if row.get("budget_cost") is not None else []
    return ", ".join(caps) or "–"


def _of_the_store(db: str) -> tuple[dict[str, Any], list[dict[str, object]]]:
    from orchestrator.store import open_readonly, queries
    from orchestrator.store.grid import SAID_OF_PENDING
    from orchestrator.store.payloads import experiments_payload

    with open_readonly(db).read() as session:
        found = experiments_payload(queries.experiments(session), queries.scheduler(session), queries.interrupted(session))
        held = queries.runs(session, status=["pending"], reasons=SAID_OF_PENDING, limit=_READ)
        return found, queries.runs(session, status=_WRONG, limit=_READ) + held


def _of_the_server(url: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from orchestrator.store.grid import SAID_OF_PENDING
    from scaling.cli.server import Server

    server = Server(url)
    found, wrong = server.experiments(), server.get("/runs", status=_WRONG, limit=_READ)["runs"]
    if any(row["runs"].get("pending") for row in found["experiments"]):
        wrong += [
            run for run in server.get("/runs", status=["pending"], limit=_READ)["runs"] if run["reason"].startswith(SAID_OF_PENDING)
        ]
    return found, wrong


def _right(name: str):
    from rich.table import Column

    return Column(name, justify="right")
