"""`scaling probe`: twenty real steps of each model shape, before anything is spent on them."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.options import AsCsv, AsJson, Db, Home
from scaling.rounding import amount, significant

if TYPE_CHECKING:
    from orchestrator.planning.plan import PlannedRun
    from orchestrator.planning.probe import Probed

__all__ = ["EXAMPLES", "probe_command"]

EXAMPLES = """
scaling probe experiments.yaml                            # steps a second, MFU and memory of each model; remembered

scaling probe experiments.yaml && scaling submit experiments.yaml --dry-run   # the plan by these speeds

scaling probe experiments.yaml --address 10.0.0.2:6379    # on a cluster's devices
"""


def probe_command(
    file: Annotated[Path, typer.Argument(help="The experiments file.")],
    address: Annotated[
        str, typer.Option("--address", help="A Ray cluster, host:port; `local` starts one for this command.")
    ] = "local",
    db: Db = "scaling.db",
    home: Home = "scaling-runs",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Train about 20 steps of each model shape on the devices that the file asks for, and remember how fast they were.

    The speeds replace the file's MFU in plans and estimates until runs of the
    shape have finished. Of a shape probed on two accelerators, with one store,
    they say what core-hours are worth: --convert THEIRS:OURS=measured. Exit code 1 when a shape ran out of memory, diverged or
    failed.
    """
    from orchestrator.cluster import RayCluster
    from orchestrator.experiments_file import read_spec
    from orchestrator.home import home_folder
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.probe import Probed, probe
    from orchestrator.store import Store
    from orchestrator.store.probed import measured_conversions
    from scaling.cli.output import console, messages, print_json, print_text
    from scaling.cli.runs_input import refuse_both
    from scaling.columns import SCHEMA_VERSION
    from scaling.formulas import csv_text
    from trainer.users_code import look_in

    refuse_both(as_json, as_csv)
    folder = home_folder(home)
    look_in(Path.cwd())
    plan = make_plan(*read_spec(file))
    folder.mkdir(parents=True, exist_ok=True)
    with Store.open(db) as store:

        def remember(probed: Probed) -> None:
            with store.write() as session:
                session.add(probed.row())
            messages().print(f"{probed.model}: {probed.outcome}", highlight=False)

        def tell_of_waiting(run: PlannedRun) -> None:
            messages().print(f"{run.config.model.name}: waiting for devices", highlight=False)

        with RayCluster(address) as cluster:
            found = probe(plan, cluster, home=folder, working_directory=Path.cwd(), on_result=remember, on_wait=tell_of_waiting)
        with store.read() as session:
            here = {probed.accelerator for probed in found}
            factors = [entry for entry in measured_conversions(session) if entry.ours in here and entry.theirs not in here]
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "probes": [asdict(probed) for probed in found]})
    elif as_csv:
        print_text(csv_text(map(asdict, found), [each.name for each in fields(Probed)]))
    else:
        console().print(_table(found))
    if any(probed.outcome != "finished" for probed in found):
        for probed in found:
            if probed.reason:
                messages().print(f"{probed.model}: {probed.outcome}: {probed.reason}", highlight=False)
        raise typer.Exit(1)
    if any(probed.step_seconds and probed.mfu is None for probed in found):
        told = f"MFU is not known: the device is in no table of accelerators; `accelerators:` in {file} adds it, see `scaling docs experiments`"
        messages().print(told, highlight=False)
    for entry in factors:
        worth = f"{significant(entry.factor, 3)} core-hours on {entry.theirs} do what one does on {entry.ours}"
        messages().print(f"{worth}, {entry.source}: --convert {entry.theirs}:{entry.ours}={entry.name}", highlight=False)
    messages().print(f"next: `scaling submit {file} --dry-run` plans with these speeds", highlight=False)


def _table(found: list[Probed]):
    from rich.table import Column, Table

    names = ("steps/s", "examples/s", "MFU", "memory", "compiled in")
    table = Table("model", *[Column(name, justify="right") for name in names], "outcome", box=None, pad_edge=False)
    for probed in found:
        table.add_row(
            probed.model,
            significant(1 / probed.step_seconds if probed.step_seconds else None, 3),
            amount(probed.examples_per_second, 4),
            _shown(probed.mfu, "{:.3f}"),
            _shown(probed.memory_bytes / 1e9 if probed.memory_bytes else None, "{:.2f} GB"),
            _shown(probed.compile_seconds, "{:.1f} s"),
            str(probed.outcome),
        )
    return table


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
