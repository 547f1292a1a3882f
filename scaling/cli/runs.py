"""`scaling runs`: the table of runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scaling.cli.options import AsCsv, AsJson, Db, Experiment, Server
from scaling.formulas import csv_text
from scaling.rounding import amount, significant

__all__ = ["EXAMPLES", "runs_command"]

EXAMPLES = """
scaling runs --status failed --status diverged  # what went wrong, with the reasons

scaling runs 3fa9                               # one run with its attempts

scaling runs --csv > runs.csv
"""

_COLUMNS = ("id", "model", "epochs", "learning_rate", "seed", "status", "core_hours", "val_loss", "val_top1")


def runs_command(
    run: Annotated[str | None, typer.Argument(help="A run's id, or the beginning of it: show that run alone.")] = None,
    experiment: Experiment = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", "-s", help="Only runs of this status; may be given again.")
    ] = None,
    db: Db = "scaling.db",
    server: Server = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List runs with their cost and result, or show one run with its attempts."""
    from scaling.cli.output import print_json, print_text
    from scaling.cli.runs_input import refuse_both
    from scaling.columns import table_rows
    from scaling.errors import UsageError

    refuse_both(as_json, as_csv)
    if run is not None and as_csv:
        raise UsageError("--csv is for the table of runs, not for one run", hint="--json prints one run whole")
    if run is not None:
        payload = _one_run(run, db, server)
        print_json(payload) if as_json else _show_one(payload["run"])
        return
    payload = _all_runs(experiment, status, db, server)
    if as_json:
        print_json(payload)
    elif as_csv:
        print_text(csv_text(*table_rows(payload["runs"])))
    else:
        _show_table(payload["runs"])


def _one_run(prefix: str, db: str, server: str | None) -> dict[str, Any]:
    if server is not None:
        from scaling.cli.server import Server

        return Server(server).run(prefix)
    from orchestrator.running import forecast_in_training
    from orchestrator.store import open_readonly, queries
    from orchestrator.store.payloads import run_payload

    with open_readonly(db).read() as session:
        detail = queries.run_detail(session, prefix)
        forecast = forecast_in_training(session, detail)
        return run_payload(detail, queries.metrics(session, detail["id"]), None if forecast is None else forecast.to_dict())


def _all_runs(experiment: str | None, status: list[str] | None, db: str, server: str | None) -> dict[str, Any]:
    from orchestrator.store.payloads import runs_payload

    if server is not None:
        from scaling.cli.server import Server

        return runs_payload(Server(server).runs(experiment=experiment, status=status))
    from orchestrator.store import open_readonly, queries

    with open_readonly(db).read() as session:
        return runs_payload(queries.runs(session, experiment=experiment, status=status or ()))


def _show_table(rows: list[dict]) -> None:
    from rich.table import Column, Table

    from orchestrator.store.queries import INTERRUPTED
    from scaling.cli.endings import reasons
    from scaling.cli.output import console
    from scaling.columns import FINETUNING, model_title

    is_tuned = any(row["stage"] == FINETUNING for row in rows)
    heads = [name.replace("learning_rate", "lr").replace("core_hours", "core hours") for name in _COLUMNS]
    heads += ["fine-tuned from"] if is_tuned else []
    table = Table(
        *[Column(name, justify="left" if name in ("id", "model", "status") else "right") for name in heads],
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for row in rows:
        table.add_row(
            row["id"], model_title(row), *(_said(row[name]) for name in ("epochs", "learning_rate", "seed")), row["status"],
            amount(row["core_hours"]), significant(row["val_loss"]), significant(row["val_top1"]),
            *([row["parent"] if row["stage"] == FINETUNING else ""] if is_tuned else []),
        )  # fmt: skip
    out = console()
    if not rows:
        out.print("no runs match")
        return
    out.print(table)
    inherited = sum(row["inherited_core_hours"] or 0.0 for row in rows)
    if inherited:
        alone = sum(row["core_hours"] or 0.0 for row in rows)
        out.print(
            f"these runs did cost {amount(alone - inherited)} core-hours; alone they would cost {amount(alone)}: "
            f"{inherited / alone:.0%} saved by shared trunks",
            highlight=False,
        )
    for line in reasons(row for row in rows if row["reason"] and row["reason"] != INTERRUPTED):
        out.print(line, highlight=False)
    if left := sum(row["reason"] == INTERRUPTED for row in rows):
        out.print(f"scheduler gone, {left} interrupted; `scaling submit` goes on from their last checkpoints", highlight=False)


def _said(value: float | None) -> str:
    """Write a number; `–` where an imported run does not say it."""
    return "–" if value is None else f"{value:g}"


def _show_one(detail: dict) -> None:
    from rich.table import Table

    from scaling.cli.output import console
    from scaling.columns import COLUMNS, model_title

    out, last_lines = console(), ""
    for name in (
        *_COLUMNS,
        "chance_loss",
        "reason",
        "dataset",
        "batch_size",
        "params",
        "steps",
        "step",
        "train_flops",
        "inherited_core_hours",
        "allocated_core_hours",
        "packed",
        "code_version",
        "stage",
        "parent",
        "parent_step",
        "experiments",
        "imported_from",
        "imported_id",
    ):
        value: Any = model_title(detail) if name == "model" else detail.get(name)
        if name == "reason":
            value, _, last_lines = value.partition("\n")
        shown = amount(value) if name.endswith("core_hours") else significant(value) if isinstance(value, float) else str(value)
        if value not in (None, "", []):
            out.print(f"{name:>22}  {shown}", highlight=False)
    for line in last_lines.splitlines():
        out.print(f"{'':>22}  {line}", highlight=False, markup=False)
    if forecast := detail.get("forecast"):
        out.print(f"{'forecast':>22}  {forecast['sentence']}", highlight=False, soft_wrap=True)
    if detail.get("imported_from"):
        for name, value in detail["config"].get("columns", {}).items():
            if name not in COLUMNS and value is not None:
                out.print(f"{name:>22}  {significant(value) if isinstance(value, float) else value}", highlight=False)
        return
    table = Table("attempt", "host", "steps", "outcome", "useful s", "redone s", "startup s", "reason", box=None, pad_edge=False)
    for attempt in detail["attempt_rows"]:
        seconds = [f"{attempt[f'{kind}_seconds']:.1f}" for kind in ("useful", "redone", "startup")]
        table.add_row(
            str(attempt["number"]),
            attempt["host"] or "",
            f"{attempt['first_step']}…{attempt['last_step']}",
            attempt["outcome"] or "running",
            *seconds,
            attempt["reason"].partition("\n")[0],
        )
    out.print()
    out.print(table)
