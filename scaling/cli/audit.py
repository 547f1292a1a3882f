"""`scaling audit`: proof that a run used each example exactly once an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scaling.cli.options import AsJson, Db
from scaling.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.store.lineage import Lineage
    from trainer.audit import AuditReport
    from trainer.data import DataCard

__all__ = ["EXAMPLES", "audit_command"]

EXAMPLES = """
scaling audit 3fa9                              # exits 1 when an example was used twice or not at all, or nothing was audited

scaling audit 3fa9 --json
"""


def audit_command(
    run: Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")],
    db: Db = "scaling.db",
    as_json: AsJson = False,
) -> None:
    """Prove that a run used each example exactly once an epoch, over all its attempts, or say which it did not.

    With `augment.repeats`, each is used as often as that asks.
    """
    from orchestrator.store import open_readonly
    from orchestrator.store.imported import refuse_imported
    from orchestrator.store.lineage import lineage_of
    from scaling.cli.output import console
    from trainer import TrainConfig
    from trainer.audit import AuditReport, Stretch, check
    from trainer.data import Order

    store = open_readonly(db)
    with store.read() as session:
        lineage = lineage_of(session, run)
        refuse_imported(session, [lineage.run_id], "which examples it saw is not recorded")
    stretches = [Stretch(share.directory, share.first_step, share.stop_step) for share in lineage.shares]
    config = TrainConfig.from_dict(lineage.config)
    if config.program is not None:
        raise UsageError(
            f"run {lineage.run_id} was trained by a program of your own, and which examples it saw is not recorded",
            hint="`scaling runs` shows its attempts; `scaling logs` shows what it printed",
        )
    order, rehearsed = Order.of(config), config.model.surface is not None
    report = AuditReport(order.total, 0, (), (), repeats=order.repeats) if rehearsed else check(stretches, order)
    if as_json:
        from scaling.cli.output import print_json

        print_json(_payload(lineage, report, rehearsed))
    elif rehearsed:
        console().print(
            f"run {lineage.run_id} ({lineage.status}) is a rehearsal: nothing was trained, so there is nothing to audit"
        )
    else:
        _show(lineage, report, config.data.card)
    if not report.clean:
        raise typer.Exit(1)


def _payload(lineage: Lineage, report: AuditReport, rehearsed: bool) -> dict[str, Any]:
    """Make the object that --json prints: `schema_version`, `run`, `simulated`, `attempts` and `audit`.

    Each of `attempts` has `run`, `attempt`, `first_step` and `stop_step`; `audit` is `AuditReport.to_dict()`.
    """
    from scaling.columns import SCHEMA_VERSION

    attempts = [
        {"run": s.run_id, "attempt": s.attempt, "first_step": s.first_step, "stop_step": s.stop_step} for s in lineage.shares
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "run": lineage.run_id,
        "simulated": rehearsed,
        "attempts": attempts,
        "audit": report.to_dict(),
    }


def _show(lineage: Lineage, report: AuditReport, card: DataCard) -> None:
    from scaling.cli.output import console
    from trainer.data.kept import left_out

    out = console()
    out.print(
        f"run {lineage.run_id} ({lineage.status}): {report.covered:,} of {report.total:,} uses of an example", highlight=False
    )
    if count := left_out(card):
        out.print(f"  of {card.train_examples + count:,} training images {count:,} were left out by a list", highlight=False)
    for share in lineage.shares:
        whose = "" if share.run_id == lineage.run_id else f" of run {share.run_id}, whose trunk it started from"
        out.print(f"  attempt {share.attempt}: steps {share.first_step} to {share.stop_step - 1}{whose}", highlight=False)
    span = "epoch" if report.repeats == 1 else "pass"
    for epoch in report.epochs:
        skipped = f", {epoch.skipped:,} skipped" if epoch.skipped else ""
        verdict = "each as often as it should" if epoch.exact else "not as they should"
        out.print(f"  {span} {epoch.epoch}: {epoch.used:,} of {epoch.expected:,} uses{skipped}, {verdict}", highlight=False)
    for epoch_number, number, reason in report.skipped:
        out.print(f"  skipped in {span} {epoch_number}: example {number}: {reason}", highlight=False)
    for fault in report.faults:
        out.print(f"  fault: {fault}", highlight=False)
    if not report.covered:
        out.print("not audited: no checkpoint of this run has been committed yet")
    elif report.clean:
        named = ", but for the skipped ones" if report.skipped else ""
        so_far = "" if report.complete else " so far"
        often = (
            "once an epoch"
            if report.repeats == 1
            else f"{report.repeats} times in each pass over the data, as `augment.repeats: {report.repeats}` asks"
        )
        out.print(f"clean: every example exactly {often}{so_far}{named}")
    elif any(epoch.missing or epoch.repeated for epoch in report.epochs):
        out.print("not clean: the faults above say which examples")
    else:
        out.print("not clean: the records do not say which examples")
