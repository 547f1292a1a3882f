"""`scaling submit`: the main job, from a file to a fitted law."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.options import AsJson, Db, Home

if TYPE_CHECKING:
    from orchestrator.planning.priced import Priced
    from orchestrator.store.grid import Accepted

__all__ = ["EXAMPLES", "submit_command"]

EXAMPLES = """
scaling submit experiments.yaml

scaling submit experiments.yaml --dry-run                      # what it would cost

scaling submit experiments.yaml --simulate                     # the whole of it rehearsed, nothing trained

scaling submit experiments.yaml --address 10.0.0.2:6379 --yes  # on a Ray cluster, without asking

scaling submit experiments.yaml --address 10.0.0.2:6379 --detach --db postgresql+psycopg://…   # and leave it there
"""


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
    worker_timeout_seconds: Annotated[
        float, typer.Option(min=30, help="A worker that does not answer for so long is given up, and its runs go on elsewhere.")
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Train what the file asks for, write every run to the database, say what the runs say.

    Submitting again does nothing twice: finished runs are kept, interrupted ones
    go on where they stopped. Ctrl-C checkpoints and pauses, and so does a dropped
    SSH line (SIGHUP) unless `nohup` or --detach was used. Exit code 1 when a run
    failed or a cell ended without a finished run.
    """
    from orchestrator.main_job import submit
    from orchestrator.scheduling.policy import SchedulingPolicy
    from scaling.cli import plan_table
    from scaling.cli.closing import close
    from scaling.cli.hangup import stop_on_signals
    from scaling.cli.output import console, messages, print_json
    from scaling.cli.progress import live_progress

    err, signals = messages(), [lambda: False]

    def show_plan(priced: Priced) -> None:
        if not as_json:
            plan_table.show(priced, err)

    def begin(accepted: Accepted) -> None:
        if accepted.done:
            known = len(accepted.done) + accepted.ahead
            err.print(f"{len(accepted.done)} of {known} runs were done before and are not run again", highlight=False)
        if accepted.again:
            err.print(f"{len(accepted.again)} runs that were paused, failed or cancelled go on", highlight=False)
        if not accepted.ahead:
            err.print("nothing left to do")
        elif not detach:
            signals.append(stop_on_signals())

    def notice(sentence: str) -> None:
        with suppress(OSError):  # nobody reads it
            messages().print(sentence, highlight=False, markup=False)

    with live_progress() as show:
        done = submit(
            file,
            db=db,
            home=home,
            address=address,
            dry_run=dry_run,
            simulate=simulate,
            detach=detach,
            revise=revise,
            yes=yes,
            confirm=_asked if sys.stdin.isatty() else None,
            should_stop=lambda: signals[-1](),
            on_plan=show_plan,
            on_accepted=begin,
            on_progress=show,
            on_notice=notice,
            policy=SchedulingPolicy(
                order=order,
                checkpoint_seconds=checkpoint_seconds,
                hang_seconds=hang_seconds,
                worker_timeout_seconds=worker_timeout_seconds,
            ),
        )
    if done.outcome != "dry run":
        close(done, as_json=as_json)
    elif as_json:
        print_json(done.to_dict())
    else:
        plan_table.show(done.plan, console())
        plan_table.show_findings(done.plan, console())
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _asked(question: str) -> bool:
    return typer.confirm(question, abort=True, err=True)
