"""A cell whose learning rate is searched for, its policy, and the order of cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from orchestrator.resources import Resources, RunOptions
from scaling.columns import FINETUNING, PRETRAINING
from scaling.records import Record
from trainer import TrainConfig, data

__all__ = ["SECONDS", "Policy", "SearchedCell", "Second", "alike", "groups_of", "weight_decay_of"]

SECONDS = ("weight_decay", "batch_size")
"""The settings that can be searched for beside the learning rate."""
_DIGITS = 12


class Second(Record, kw_only=False):
    """Names the setting that is searched for beside the rate, one of `SECONDS`: its values are `start · factor^k` for whole k."""

    name: str
    start: float
    factor: float

    def value(self, step: int) -> float:
        """Return the value k steps up from the start, as it would be written."""
        return _written(self.start, self.factor, step)

    def step(self, value: float) -> int:
        """Return the step whose value is nearest to `value`, which is above 0: the inverse of `value`."""
        return _nearest(self.start, self.factor, value)


class Policy(Record, kw_only=False):
    """Holds the `two-trial` policy of a search: rates are `start · factor^k` for whole k.

    A trial is a run on each of the first `searched_seeds`, and its loss their mean. What is found is trained on all of `seeds`.
    second: what else is searched for; None is nothing.
    """

    start: float
    factor: float
    seeds: tuple[int, ...]
    searched_seeds: int = 1
    name: str = "two-trial"
    second: Second | None = None
    _read: ClassVar = {"seeds": tuple, "second": Second.from_dict}

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        return self.seeds[: self.searched_seeds]

    @property
    def other_seeds(self) -> tuple[int, ...]:
        return self.seeds[self.searched_seeds :]

    @property
    def expected_trials(self) -> int:
        """Return how many trials a cell is expected to take: docs/learning_rates.md has the counts.

        They are two of the rate. A second setting adds one on either side, and one more in most cells where it or noise moves the best.
        """
        return 2 if self.second is None else 5

    def rate(self, step: int) -> float:
        """Return the rate k steps up from the start, as it would be written: 0.2 / 2 is the 0.1 of a grid, to the last bit."""
        return _written(self.start, self.factor, step)

    def step(self, rate: float) -> int:
        """Return the step whose rate is nearest to `rate`: the inverse of `rate`."""
        return _nearest(self.start, self.factor, rate)


@dataclass(frozen=True, eq=False)
class SearchedCell:
    """Holds a searched cell (family, model, epochs).

    template: a row of `orchestrator.store.models.Run` but for its id and learning rate, in plain JSON values. In fine-tuning `parents` maps
    each seed to the pre-trained run that its run starts from; the cell is that of pre-training then.
    """

    family: str
    model: str
    params: int
    epochs: float
    policy: Policy
    template: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, float, str]:
        """Return family, model, epochs and stage."""
        return (*self.pretrained, self.stage)

    @property
    def pretrained(self) -> tuple[str, str, float]:
        """Return family, model and epochs of the cell of pre-training."""
        return (self.family, self.model, self.epochs)

    @property
    def stage(self) -> str:
        """Return in which stage its runs are, as the column of `scaling.columns` has it."""
        return FINETUNING if "parents" in self.template else PRETRAINING

    def run(self, step: int, seed: int, second: int = 0) -> dict[str, object]:
        """Build the row of the run at a rate, a seed and a step of the second setting, with its id."""
        rate = self.policy.rate(step)
        template = self._at(second)
        config = {**template["config"], "learning_rate": rate, "seed": seed}
        own: dict[str, Any] = {}
        if self.stage == FINETUNING:
            own["parent_id"] = template["parents"][str(seed)]
            config["parent"] = {**config["parent"], "run": own["parent_id"]}
        made = TrainConfig.from_dict(config)
        own |= {"id": made.run_id(), "weight_decay": weight_decay_of(made)}
        given = {"resources": Resources.from_dict(template["resources"]), "options": RunOptions.from_dict(template["options"])}
        kept = {name: value for name, value in template.items() if name != "parents"}
        return {**kept, **given, **own, "config": config, "learning_rate": rate, "seed": seed}

    def is_possible(self, second: int) -> bool:
        """Say whether runs can have that step of the second setting: a batch is a whole number of examples that suits data and schedule."""
        asked = self.policy.second
        if asked is None or asked.name != "batch_size" or not self.template:
            return True
        config, size = self.template["config"], asked.value(second)
        examples = config["data"]["card"]["train_examples"]
        micro_batch = self.template["options"].get("execution", {}).get("micro_batch")
        if size != int(size) or size < max(2, micro_batch or 2) or (examples and size > examples):
            return False
        if size % config.get("augment", {}).get("repeats", 1):
            return False
        made = TrainConfig.from_dict(self._at(second)["config"] | {"learning_rate": 1.0})
        return made.program is not None or _warms_up(made)

    def _at(self, second: int) -> Mapping[str, Any]:
        """Return the template of runs at a step of the second setting: with its config, and all that follows from it."""
        asked = self.policy.second
        if asked is None:
            return self.template
        row, config = dict(self.template), dict(self.template["config"])
        if asked.name == "weight_decay":
            config["optimizer"] = {**config["optimizer"], "weight_decay": asked.value(second)}
        else:
            row["batch_size"] = config["batch_size"] = int(asked.value(second))
        row["config"] = config
        made = TrainConfig.from_dict(config | {"learning_rate": 1.0})
        row["shape"], options = made.shape_id(), dict(row["options"])
        if options.get("alike"):
            options["alike"] = alike(made)
        if asked.name == "batch_size":
            total = round(self.epochs * made.data.card.train_examples)
            row["steps"] = data.Order.of(made).steps if made.program is None else -(-total // made.batch_size)
            if pace := options.get("execution", {}).get("step_seconds"):  # of a rehearsal
                longer = self.template["steps"] / row["steps"]
                options["execution"] = {**options["execution"], "step_seconds": pace * longer}
        row["options"] = options
        return row

    def is_below(self, other: SearchedCell) -> bool:
        """Say whether it has neither more epochs nor more parameters than `other`, and is not as large in both."""
        no_more = self.epochs <= other.epochs and self.params <= other.params
        return no_more and (self.epochs, self.params) != (other.epochs, other.params)


def groups_of(cells: Iterable[SearchedCell]) -> list[list[SearchedCell]]:
    """Group the cells that share one trend: of one family and stage, with one policy. In a group no cell comes before one below it.

    Of a policy in fine-tuning the seeds are left aside: a cell has those of its pre-trained runs.
    """
    groups: dict[tuple[str, str, Policy], list[SearchedCell]] = {}
    for cell in cells:
        policy = replace(cell.policy, seeds=()) if cell.stage == FINETUNING else cell.policy
        groups.setdefault((cell.family, cell.stage, policy), []).append(cell)
    return [sorted(group, key=lambda cell: (cell.epochs, cell.params, cell.model)) for group in groups.values()]


def alike(config: TrainConfig) -> str:
    """Return 16 hex digits that are equal for runs that can be trained at once: they differ in learning rate, seed, and in fine-tuning parent."""
    parent = config.parent and replace(config.parent, run="")
    return replace(config, learning_rate=1.0, seed=0, parent=parent).run_id()


def weight_decay_of(config: TrainConfig) -> float | None:
    """Return the weight decay that the optimiser is given; None where it has none, and where a program trains."""
    value = config.optimizer.plain.get("weight_decay")
    return float(value) if config.program is None and isinstance(value, int | float) else None


def _warms_up(config: TrainConfig) -> bool:
    """Say whether warm-up and decay fit into the steps of the run."""
    steps = data.Order.of(config).steps
    decay = config.schedule.schedule.decay_share * steps
    return not config.warmup_steps or config.warmup_steps + decay < steps + (1e-9 if decay else 0)


def _written(start: float, factor: float, step: int) -> float:
    return float(f"{start * factor**step:.{_DIGITS}g}")


def _nearest(start: float, factor: float, value: float) -> int:
    return round(math.log(value / start) / math.log(factor))
