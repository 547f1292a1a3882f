"""The trunk: the steps that runs of several epoch budgets have in common, bit for bit.

Under a schedule with a constant or an endless part, the learning rate of a step there does not depend on the epoch budget. What else enters a step
(the order of examples, augmentation, dropout, the average's decay) is a function of seed, position and step. So of two runs whose configs
differ in `schedule.epochs` alone, the state after any step before both decays is the same, and one may go on from the other's
checkpoint: Hägele et al. 2024 (arXiv 2405.18392), "one long stable phase serves many budgets".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainer.config import TrainConfig
from trainer.data.order import Order

__all__ = ["foreign_to_trunk", "trunk_id", "trunk_steps"]


def trunk_steps(config: TrainConfig) -> int:
    """Count the steps of a run that do not depend on its epoch budget; 0 under a schedule that depends on it throughout.

    They end where the decay begins, and before a last batch that is not full.
    """
    if config.schedule.warmup_share:
        return 0
    order = Order.of(config)
    return min(config.schedule.schedule.common_steps(order.steps, config.warmup_steps), order.total // config.batch_size)


def trunk_id(config: TrainConfig) -> str:
    """Return an id that is the same for runs that differ in their epoch budgets alone; 16 hex digits."""
    return replace(config, schedule=replace(config.schedule, epochs=1.0)).run_id()


def foreign_to_trunk(config: TrainConfig, parent: Mapping[str, Any], step: int) -> str | None:
    """Say why a run of `config` may not go on from the state of a run of config `parent` after `step` steps; None when it may."""
    trunk = TrainConfig.from_dict(parent)  # one of an earlier version lacks the fields that came later
    mine, theirs = _without_epochs(config.to_dict()), _without_epochs(trunk.to_dict())
    if differing := sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name)):
        return f"its {', '.join(differing)} {'is' if len(differing) == 1 else 'are'} other, and only the epochs may be"
    for whose, steps in (("this", trunk_steps(config)), ("that", trunk_steps(trunk))):
        if step > steps:
            return f"{whose} run's steps depend on its epochs from step {steps} on"
    return None


def _without_epochs(config: Mapping[str, Any]) -> dict[str, object]:
    """Return what two runs of one trunk agree in. Where the data lie is not part of it."""
    schedule = {name: value for name, value in config["schedule"].items() if name != "epochs"}
    data = {**config["data"], "options": {key: value for key, value in config["data"]["options"].items() if key != "path"}}
    return {**config, "schedule": schedule, "data": data}
