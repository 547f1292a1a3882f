"""`scaling status`: experiments, their runs by state, what they cost."""

from __future__ import annotations

from scaling.cli.options import AsJson, Db

__all__ = ["EXAMPLES", "status_command"]

EXAMPLES = """
scaling status

scaling status --json  # the same for a script
"""


def status_command(db: Db = "scaling.db", as_json: AsJson = False) -> None:
    """Show experiments: runs by state, core-hours done and estimated, best loss.

    "estimates off by" is the median over finished runs of how far the estimate a run was started with lies from what it took.
    """
    from orchestrator.store import open_readonly, queries
    from orchestrator.store.payloads import experiments_payload

    store = open_readonly(db)
    with store.read() as session:
        rows = queries.experiments(session)
        scheduler = queries.scheduler(session)
        failed = queries.runs(session, status=["failed", "diverged"], limit=20)
    if as_json:
        from scaling.cli.output import print_json

        print_json(experiments_payload(rows) | {"scheduler": scheduler})
        return

    from rich.table import Table

    from scaling.cli.output import console, core_hours, number

    table = Table(
        "experiment",
        "runs by state",
        *[_right(name) for name in ("core-hours", "allocated", "estimated", "estimates off by", "budget", "best val_loss")],
        box=None,
        pad_edge=False,
    )
    for row in rows:
        states = ", ".join(f"{count} {state}" for state, count in row["runs"].items())
        if searched := row["searches"]:
            states += f"; learning rates found in {searched['settled']} of {searched['cells']} cells"
        table.add_row(
            row["name"],
            states,
            core_hours(row["core_hours"]),
            core_hours(row["allocated_core_hours"]),
            core_hours(row["estimated_core_hours"]),
            "–" if row["estimate_error"] is None else f"{100 * row['estimate_error']:.0f} %",
            core_hours(row["budget_core_hours"]),
            number(row["best_val_loss"]),
        )
    out = console()
    out.print(table)
    out.print(f"\nscheduler: {scheduler['holder']} (pid {scheduler['pid']})" if scheduler else "\nno scheduler is running")
    for row in failed:
        out.print(
            f"{row['status']}: {row['id']} {row['model']}, {row['epochs']:g} epochs, lr {row['learning_rate']:g}: {row['reason']}",
            highlight=False,
        )


def _right(name: str):
    from rich.table import Column

    return Column(name, justify="right")
