"""The app: its commands, and what becomes of an error.

Exit codes: 0 done; 1 what was asked for failed; 2 wrong usage or an invalid file; 130 interrupted.
stdout is data, stderr is messages and progress.
"""

from __future__ import annotations

import copy
import os
import sys
from typing import Annotated

import typer

from scaling.cli import (
    audit,
    compare,
    dedup,
    docs,
    doctor,
    export,
    fit,
    frontier,
    gc,
    imports,
    init,
    logs,
    lr,
    model,
    plan,
    predict,
    probe,
    report,
    runs,
    serve,
    status,
    steering,
    submit,
    transfer,
)
from scaling.cli.error_lines import tell
from scaling.errors import ScalingError

__all__ = ["app", "main"]

app = typer.Typer(
    name="scaling",
    help="Train a grid of small models, fit the law of loss against compute, see what is compute-optimal.",
    epilog="First steps:  scaling init  →  scaling submit experiments.yaml  →  scaling fit --metric val_loss  →  scaling serve",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for name, command, examples in (
    ("init", init.init_command, init.EXAMPLES),
    ("submit", submit.submit_command, submit.EXAMPLES),
    ("probe", probe.probe_command, probe.EXAMPLES),
    ("status", status.status_command, status.EXAMPLES),
    ("runs", runs.runs_command, runs.EXAMPLES),
    ("logs", logs.logs_command, logs.EXAMPLES),
    ("pause", steering.pause_command, steering.PAUSE_EXAMPLES),
    ("resume", steering.resume_command, steering.RESUME_EXAMPLES),
    ("cancel", steering.cancel_command, steering.CANCEL_EXAMPLES),
    ("retry", steering.retry_command, steering.RETRY_EXAMPLES),
    ("priority", steering.priority_command, steering.PRIORITY_EXAMPLES),
    ("exclude", steering.exclude_command, steering.EXCLUDE_EXAMPLES),
    ("gc", gc.gc_command, gc.EXAMPLES),
    ("audit", audit.audit_command, audit.EXAMPLES),
    ("fit", fit.fit_command, fit.EXAMPLES),
    ("frontier", frontier.frontier_command, frontier.EXAMPLES),
    ("lr", lr.lr_command, lr.EXAMPLES),
    ("compare", compare.compare_command, compare.EXAMPLES),
    ("predict", predict.predict_command, predict.EXAMPLES),
    ("plan", plan.plan_command, plan.EXAMPLES),
    ("transfer", transfer.transfer_command, transfer.EXAMPLES),
    ("report", report.report_command, report.EXAMPLES),
    ("import", imports.import_command, imports.EXAMPLES),
    ("export", export.export_command, export.EXAMPLES),
    ("dedup", dedup.dedup_command, dedup.EXAMPLES),
    ("model", model.model_command, model.EXAMPLES),
    ("serve", serve.serve_command, serve.EXAMPLES),
    ("doctor", doctor.doctor_command, doctor.EXAMPLES),
    ("docs", docs.docs_command, docs.EXAMPLES),
):
    app.command(name, epilog=examples)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("scaling"))
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    del version
    if debug:
        os.environ["SCALING_DEBUG"] = "1"


def _with_the_command_of(words: list[str]) -> typer.Typer:
    """Return the app with the command that is named alone, or with all where none is.

    Typer works out the options of each command that the app has, which takes 60 ms for all.
    """
    asked = next((word for word in words if not word.startswith("-")), "")
    one = copy.copy(app)
    one.registered_commands = [command for command in app.registered_commands if command.name == asked] or app.registered_commands
    return one


def main() -> None:
    """Run a command. An expected error is printed as one line of fault and one line of what to do."""
    try:
        _with_the_command_of(sys.argv[1:])()
    except ScalingError as error:
        if os.environ.get("SCALING_DEBUG"):
            raise
        tell(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `scaling runs | head`
        sys.exit(1)
