"""`scaling submit --dry-run`: what `submit` would do and what it would refuse, with nothing started and nothing written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.cluster.inventory import check_local
from orchestrator.planning.accept import finetuned_status, plan_status
from orchestrator.planning.edited import refuse_edited_program
from orchestrator.planning.plan import Plan
from orchestrator.planning.priced import DONE, Priced
from orchestrator.planning.shipped import remarks_on, shipment_of
from orchestrator.search.advance import states_of
from orchestrator.store import Store
from orchestrator.store.grid import refuse_another_study
from scaling.errors import DataError, UsageError
from trainer import data
from trainer.data.check import Looked, look_at

__all__ = ["dry_run"]

_NAMED = 5


def dry_run(priced: Priced, db: str, home: Path, *, revise: bool = False, address: str = "local") -> Priced:
    """Check a plan against the store, the folder of runs, the data and, where no cluster is named, this machine's cores.

    Returns the plan with what was found.

    Raises:
        ClusterError: a run is to be trained and asks for more cores than this machine has.
        UsageError: the experiment has finished runs with other settings or other data; the folder of runs cannot be made; the folder of
            a program is too large to be copied to a cluster.
        StoreError: the store cannot be opened.
        DataError: examples are empty or cannot be read; the message names them.
    """
    _check_home(home)
    plan = priced.plan
    shipment = shipment_of(plan, home=home, db=db, address=address)
    store = Store.open_as_upgraded(db)
    if store is None:
        found = replace(priced, states={run.id: "new" for run in plan.runs}, remarks=remarks_on(shipment, plan, None, home))
    else:
        with store:
            refuse_edited_program(store, plan, home, revise=revise)
            if not revise:
                with store.read() as session:
                    refuse_another_study(session, plan.spec.name, plan.shared)
            found = replace(
                priced,
                states=plan_status(store, plan),
                searched=states_of(store, plan.spec.name, plan.cells),
                finetuned=finetuned_status(store, plan),
                remarks=remarks_on(shipment, plan, store, home),
            )
    if address == "local" and _is_anything_to_train(found):
        check_local(DeviceRequest.of(plan.resources).check())
    tuned = _look(plan.finetuning) if plan.finetuning else ()
    looked = _look(plan) + tuple(replace(split, split=f"fine-tuning's {split.split}") for split in tuned)
    return replace(found, looked=looked)


def _is_anything_to_train(found: Priced) -> bool:
    if not found.plan.trains:
        return False
    is_open = any(state not in DONE for state in found.states.values())
    return is_open or len([search for search in found.searched if search.is_over]) < len(found.plan.searches)


def _check_home(home: Path) -> None:
    there = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "may not be written" if there.is_dir() else "is no folder"
        raise UsageError(
            f"the folder of runs {home} cannot be made: {there} {why}", hint="name another with --home or SCALING_HOME"
        )


def _look(plan: Plan) -> tuple[Looked, ...]:
    if not plan.trains or plan.spec.trainer is not None:
        return ()
    looked = look_at(data.load(plan.spec.dataset.name, plan.spec.dataset.options))
    may_skip = plan.spec.execution.on_bad_example == "skip"
    for split in looked:
        if split.bad and not (may_skip and split.split == "training" and not split.is_too_bad):
            raise _unusable(split, may_skip)
    return looked


def _unusable(split: Looked, may_skip: bool) -> DataError:
    named = "; ".join(f"{name}: {reason}" for name, reason in split.bad[:_NAMED])
    more = f"; and {len(split.bad) - _NAMED} more" if len(split.bad) > _NAMED else ""
    hint = "mend or remove them"
    if split.split == "training":
        hint += ": a run may skip one in a hundred" if may_skip else "; `execution: {on_bad_example: skip}` leaves them out"
    return DataError(
        f"{len(split.bad)} of the {split.examples:,} {split.split} examples cannot be used ({split.read:,} were read): {named}{more}",
        hint=hint,
    )
