"""`probe`: takes a few real steps of each model shape of a file, on the devices and through the worker that would train it."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.messages import Assignment, Died, Lost, NumberedMessage, Placed, Raised, Refused
from orchestrator.planning.plan import Plan, PlannedRun
from orchestrator.provenance import code_version
from orchestrator.resources import Resources, RunOptions
from orchestrator.store.models import Probe
from scaling.accelerators import core_hours
from scaling.errors import UsageError
from scaling.outcomes import AttemptOutcome
from trainer.events import Compiled, Ended, Event, Progress

if TYPE_CHECKING:
    from orchestrator.cluster import DeviceRequest, RayCluster, RemoteWorker

__all__ = ["WARM_STEPS", "Probed", "probe", "shapes"]

WARM_STEPS = 10
"""Steps before the clock counts, and steps that it counts: 20 in all."""

_REPORTS = 50
"""A run reports this often; with 50 times `WARM_STEPS` steps it does so after 10 and after 20."""

_WAIT_SECONDS = 1.0
_BUSY_SECONDS = 15.0
"""How long a worker may take to accept an assignment before it counts as waiting for devices; with devices it takes seconds."""


@dataclass(frozen=True)
class Probed:
    """Holds what the 20 steps of a shape showed.

    outcome: `finished` when all went well, else `diverged` (the loss was NaN or infinite), `out-of-memory`, `raised`, `died` or `lost`;
        `reason` says more.
    step_seconds, examples_per_second, mfu, memory_bytes: of the last 10 steps, as `trainer.clock.Pace` has them; None where there were
    none.
    core_hours_per_flop: what replaces the file's MFU in estimates.
    """

    shape: str
    family: str
    model: str
    accelerator: str
    cores: int
    outcome: AttemptOutcome
    reason: str
    compile_seconds: float | None = None
    step_seconds: float | None = None
    examples_per_second: float | None = None
    mfu: float | None = None
    memory_bytes: int | None = None
    core_hours_per_flop: float | None = None

    def row(self) -> Probe:
        """Build the row that the store keeps of it."""
        return Probe(**vars(self), code_version=code_version())


def shapes(plan: Plan) -> list[PlannedRun]:
    """List one run of each model shape of a plan, the first; a model whose learning rates are searched for has one at the start rate."""
    found: dict[str, PlannedRun] = {}
    for run in (*plan.runs, *(search.run for search in plan.searches)):
        found.setdefault(run.config.shape_id(), run)
    return list(found.values())


def probe(
    plan: Plan,
    cluster: RayCluster,
    *,
    home: Path,
    working_directory: Path,
    on_result: Callable[[Probed], None] = lambda probed: None,
    on_wait: Callable[[PlannedRun], None] = lambda run: None,
) -> list[Probed]:
    """Probe every shape of a plan, one after the other, on one worker a shape.

    `on_result` is called as each is done, `on_wait` when others hold the devices that one needs. The files of a probe go to `home`/probe
    and are deleted.

    Raises:
        UsageError: the plan trains nothing: a data set is only declared.
        ClusterError: the cluster lacks what the file asks for.
    """
    from orchestrator.cluster import DeviceRequest

    if plan.spec.trainer is not None:
        raise UsageError(
            "a program is not probed: it alone knows how to train for a few steps",
            hint="submit the shortest budget first; later estimates come from what its runs took",
        )
    if not plan.trains:
        raise UsageError("there is nothing to probe: no data set is at hand", hint="name one that is; `--dry-run` plans without")
    request = DeviceRequest.of(plan.resources)
    cluster.capacity(request)
    probed = []
    for run in shapes(plan):
        probed.append(_probed(run, plan, cluster, request, home.absolute() / "probe", working_directory, partial(on_wait, run)))
        on_result(probed[-1])
    return probed


def _probed(
    run: PlannedRun,
    plan: Plan,
    cluster: RayCluster,
    request: DeviceRequest,
    folder: Path,
    working_directory: Path,
    on_wait: Callable[[], None],
) -> Probed:
    token = f"probe-{run.config.shape_id()}-{secrets.token_hex(4)}"  # another store may probe in this home
    steps = WARM_STEPS * _REPORTS
    epochs = steps * run.config.batch_size / plan.card.train_examples
    config = replace(run.config, schedule=replace(run.config.schedule, epochs=epochs, warmup_epochs=0.0))
    assignment = Assignment(
        token=token,
        scheduler=token,
        code_version=None if cluster.address == "local" else code_version(),
        config=config.to_dict(),
        directory=str(folder / token),
        checkpoint_seconds=1e9,
        compile_cache=str(folder.parent / "compile-cache"),
        working_directory=str(working_directory),
        resources=plan.resources,
        options=RunOptions(execution=plan.options.execution),
    )
    worker = cluster.new_worker(request, owner=token)
    try:
        started = worker.start(assignment)
        if not cluster.ready([started], _BUSY_SECONDS):
            on_wait()
        return _heard(list(_events(cluster, worker, token)), run, request, plan.resources)
    finally:
        worker.close()
        shutil.rmtree(folder / token, ignore_errors=True)


def _events(cluster: RayCluster, worker: RemoteWorker, token: str) -> Iterator[Event]:
    """Yield the worker's events up to the attempt's last one; the attempt is asked to stop once the 20 steps are done."""
    from orchestrator.cluster import WorkerLost, WorkerUnreachable

    after = -1
    while True:
        question = worker.next_events(_WAIT_SECONDS, after)
        while not cluster.ready([question], _WAIT_SECONDS):
            cluster.check()
        try:
            events = cluster.answer(question)["events"]
        except WorkerUnreachable:
            time.sleep(_WAIT_SECONDS)
            continue
        except WorkerLost as error:
            yield Lost(reason=str(error), preempted=error.preempted)
            return
        for message in map(NumberedMessage.from_dict, events):
            after, event = message.number, message.event
            yield event
            if isinstance(event, Progress) and event.step == 2 * WARM_STEPS:
                worker.stop(token)
            if event.is_last:
                return


def _heard(events: list[Event], run: PlannedRun, request: DeviceRequest, resources: Resources) -> Probed:
    last = events[-1]
    outcome, reason = _outcome(last)
    device = next((event.device for event in events if isinstance(event, Placed)), "")
    _, cores = resources.given(device)
    probed = Probed(
        run.config.shape_id(), run.config.model.family, run.config.model.name, request.kind.name, cores, outcome, reason
    )
    compiled = next((event.seconds for event in events if isinstance(event, Compiled)), None)
    measured = next((event for event in events if isinstance(event, Progress) and event.step == 2 * WARM_STEPS), None)
    if measured is None or measured.step_seconds is None:
        return replace(probed, compile_seconds=compiled)
    flops_per_step = run.train_flops / run.examples_seen * run.config.batch_size
    return replace(
        probed,
        compile_seconds=compiled,
        step_seconds=measured.step_seconds,
        examples_per_second=measured.examples_per_second,
        mfu=measured.mfu,
        memory_bytes=measured.memory_bytes,
        core_hours_per_flop=core_hours(cores, measured.step_seconds) / flops_per_step,
    )


def _outcome(last: Event) -> tuple[AttemptOutcome, str]:
    """Translate the last event into outcome and reason; an attempt that was stopped after its 20 steps counts as finished."""
    match last:
        case Ended(result=result) if result.outcome is AttemptOutcome.INTERRUPTED:
            return AttemptOutcome.FINISHED, ""
        case Ended(result=result):
            return result.outcome, result.reason
        case Raised(out_of_memory=out_of_memory):
            return (AttemptOutcome.OUT_OF_MEMORY if out_of_memory else AttemptOutcome.RAISED), last.reason
        case Lost() | Refused():
            return AttemptOutcome.LOST, last.reason
    assert isinstance(last, Died)
    return AttemptOutcome.DIED, last.reason
