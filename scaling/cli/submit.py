"""`scaling submit`: the main job, from a file to a fitted law."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scaling.cli.options import AsJson, Db, Home
from scaling.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from orchestrator.plan import Plan
    from orchestrator.search.replay import CellState
    from orchestrator.store import Store

__all__ = ["EXAMPLES", "submit_command"]

EXAMPLES = """
scaling submit experiments.yaml

scaling submit experiments.yaml --dry-run                      # what it would cost

scaling submit experiments.yaml --simulate                     # the whole of it rehearsed, nothing trained

scaling submit experiments.yaml --address 10.0.0.2:6379 --yes  # on a Ray cluster, without asking

scaling submit experiments.yaml --address 10.0.0.2:6379 --detach --db postgresql+psycopg://…   # and leave it there
"""


_ORDERS = ("longest-first", "cheapest-first")


def submit_command(
    file: Annotated[Path, typer.Argument(help="The experiments file.")],
    address: Annotated[
        str, typer.Option("--address", help="A Ray cluster, host:port; `local` starts one for this command.")
    ] = "local",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check file, store and data, show the plan with its cost and which runs exist; run and write nothing."
        ),
    ] = False,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="Rehearse: train nothing, let losses follow a stated surface; see `scaling docs experiments`."
        ),
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Hand the scheduler over to the cluster at --address, as a Ray job, and return.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask when the estimate passes `confirm_above`.")] = False,
    revise: Annotated[
        bool, typer.Option("--revise", help="Let this file replace an experiment of the same name with other settings.")
    ] = False,
    db: Db = "scaling.db",
    home: Home = "scaling-runs",
    order: Annotated[
        str, typer.Option(help="longest-first: all done soonest; cheapest-first: first results soonest. Priorities come before.")
    ] = "longest-first",
    checkpoint_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds between a run's checkpoints at most; fewer where runs are cut short.")
    ] = 60.0,
    hang_seconds: Annotated[
        float,
        typer.Option(min=1, help="A run that gives no sign of life for so long is killed and goes on from its last checkpoint."),
    ] = 300.0,
    lease_seconds: Annotated[
        float, typer.Option(min=30, help="A worker that does not answer for so long is given up, and its runs go on elsewhere.")
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Train what the file asks for, write every run to the database, say what the runs say.

    Submitting again does nothing twice: finished runs are kept, interrupted ones go on where they stopped. Ctrl-C
    checkpoints and pauses, and so does a dropped SSH line (SIGHUP) unless `nohup` or --detach was used.
    Exit code 1 when a run failed or a cell ended without a finished run.
    """
    from orchestrator.home import home_folder
    from orchestrator.measured import measured_plan, rates_of
    from orchestrator.plan import make_plan
    from orchestrator.spec import read_spec
    from orchestrator.store import Store
    from scaling.cli import plan_table
    from scaling.cli.closing import close
    from scaling.cli.output import messages, print_json

    if order not in _ORDERS:
        raise UnknownName("order", order, _ORDERS)
    if detach and address == "local":
        raise UsageError("--detach hands the scheduler over to a cluster", hint="name it: --address host:port")
    folder = home_folder(home)
    sys.path.append(str(Path.cwd()))  # a user's own families and data sets; last, so that they shadow nothing
    measured = measured_plan(make_plan(*read_spec(file, simulate=simulate)), rates_of(db))
    plan = measured.plan
    if dry_run:
        from orchestrator.dry_run import dry_run as checked

        found = checked(plan, db, folder, revise=revise, address=address)
        if as_json:
            print_json(plan_table.payload(plan, found, measured=measured.runs))
        else:
            plan_table.show(plan, found.states, found.searched, measured=measured.runs)
            plan_table.show_findings(plan, found)
        return

    from orchestrator.search.advance import states_of
    from orchestrator.submit import accept_plan, plan_status

    store = Store.open(db)
    store.be_patient()
    err = messages()
    states, searched = plan_status(store, plan), states_of(store, plan)
    if not as_json:
        plan_table.show(plan, states, searched, to=err, measured=measured.runs)
    _confirm(plan, states, searched, yes)
    accepted = accept_plan(store, plan, revise=revise)
    if accepted.done:
        known = len(accepted.done) + len(accepted.new) + len(accepted.waiting) + len(accepted.again)
        err.print(f"{len(accepted.done)} of {known} runs were done before and are not run again", highlight=False)
    if accepted.again:
        err.print(f"{len(accepted.again)} runs that were paused, failed or cancelled go on", highlight=False)
    if accepted.new or accepted.waiting or accepted.again:
        how: dict[str, object] = {"address": address, "home": folder, "checkpoint_seconds": checkpoint_seconds, "order": order}
        how |= {"hang_seconds": hang_seconds, "lease_seconds": lease_seconds}
        if detach:
            _hand_over(store, plan, how)
            return
        _run(store, plan, how)
    else:
        err.print("nothing left to do")
    if not close(store, plan.spec.name, db, as_json=as_json):
        raise typer.Exit(1)


def _confirm(plan: Plan, states: dict[str, str], searched: Sequence[CellState], yes: bool) -> None:
    """Ask before spending more than the file allows without asking; without a terminal and --yes that is a usage error."""
    from scaling.cli.plan_table import ahead_of

    limit = plan.spec.confirm_above
    ahead = ahead_of(plan, states, searched)
    if limit is None or ahead <= limit.core_hours or yes:
        return
    question = f"this is estimated at {ahead:,.3g} core-hours, above confirm_above ({limit.core_hours:g}). Go on?"
    if not sys.stdin.isatty():
        raise UsageError(question.removesuffix(" Go on?"), hint="--yes goes on without asking")
    typer.confirm(question, abort=True, err=True)


def _run(store: Store, plan: Plan, how: Mapping[str, Any]) -> None:
    from orchestrator.store.queries import status_counts
    from orchestrator.submit import see_through
    from scaling.cli.hangup import stop_on_signals
    from scaling.cli.output import messages
    from scaling.cli.progress import live_progress
    from scaling.waiting import Waiting

    should_stop = stop_on_signals()

    def notice(sentence: str) -> None:
        with suppress(OSError):  # nobody reads it
            messages().print(sentence, highlight=False, markup=False)

    with live_progress(plan.spec.name) as show:
        ended = see_through(
            store,
            plan.spec.name,
            should_stop=should_stop,
            on_progress=show,
            on_notice=notice,
            **how,
        )
    if ended == "paused":
        with store.read() as session:
            left = Waiting.of(status_counts(session, plan.spec.name))
        so_far = "" if left is None else f": {left}"
        notice(f"paused{so_far}; `scaling submit {plan.document.file}` goes on from here")
    elif ended == "left":
        notice("another scheduler works on; `scaling status` shows how it stands")
    if ended != "done":
        raise typer.Exit(130)


def _hand_over(store: Store, plan: Plan, how: Mapping[str, Any]) -> None:
    """Leave the scheduler on the cluster, and say where to read and how to stop it."""
    from orchestrator.detach import detach
    from scaling.cli.output import messages

    left = detach(store, plan.spec.name, **how)
    for line in (
        f"handed over to the cluster: Ray job {left.job}",
        f"read:  `scaling status --db {store.name}`, or {left.dashboard} for its log",
        f"stop:  `ray job stop --address {left.dashboard} {left.job}`: what runs checkpoints, and submitting again goes on",
    ):
        messages().print(line, highlight=False)
