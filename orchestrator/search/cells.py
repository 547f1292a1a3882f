"""A cell whose learning rate is searched for, its policy, and the order of cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.resources import Resources, RunOptions
from scaling.records import Record
from trainer import TrainConfig

__all__ = ["Policy", "SearchedCell", "groups_of"]

_DIGITS = 12


class Policy(Record, kw_only=False):
    """Holds the `two-trial` policy of a search: rates are `start · factor^k` for whole k.

    A trial is a run on each of the first `searched_seeds`, and its loss their mean. The rate found is trained on all of `seeds`.
    """

    start: float
    factor: float
    seeds: tuple[int, ...]
    searched_seeds: int = 1
    name: str = "two-trial"
    _read: ClassVar = {"seeds": tuple}

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        return self.seeds[: self.searched_seeds]

    @property
    def other_seeds(self) -> tuple[int, ...]:
        return self.seeds[self.searched_seeds :]

    def rate(self, step: int) -> float:
        """Return the rate k steps up from the start, as it would be written: 0.2 / 2 is the 0.1 of a grid, to the last bit."""
        return float(f"{self.start * self.factor**step:.{_DIGITS}g}")

    def step(self, rate: float) -> int:
        """Return the step whose rate is nearest to `rate`: the inverse of `rate`."""
        return round(math.log(rate / self.start) / math.log(self.factor))


@dataclass(frozen=True, eq=False)
class SearchedCell:
    """Holds a searched cell (family, model, epochs).

    template: a row of `orchestrator.store.models.Run` but for its id and learning rate, in plain JSON values.
    """

    family: str
    model: str
    params: int
    epochs: float
    policy: Policy
    template: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, float]:
        return (self.family, self.model, self.epochs)

    def run(self, step: int, seed: int) -> dict[str, object]:
        """Build the row of the run at a rate and seed, with its id."""
        rate = self.policy.rate(step)
        config = {**self.template["config"], "learning_rate": rate, "seed": seed}
        run_id = TrainConfig.from_dict(config).run_id()
        given = {
            "resources": Resources.from_dict(self.template["resources"]),
            "options": RunOptions.from_dict(self.template["options"]),
        }
        return {**self.template, **given, "id": run_id, "config": config, "learning_rate": rate, "seed": seed}

    def is_below(self, other: SearchedCell) -> bool:
        """Say whether it has neither more epochs nor more parameters than `other`, and is not as large in both."""
        no_more = self.epochs <= other.epochs and self.params <= other.params
        return no_more and (self.epochs, self.params) != (other.epochs, other.params)


def groups_of(cells: Iterable[SearchedCell]) -> list[list[SearchedCell]]:
    """Group the cells that share one trend: of one family, with one policy. In a group no cell comes before one below it."""
    groups: dict[tuple[str, Policy], list[SearchedCell]] = {}
    for cell in cells:
        groups.setdefault((cell.family, cell.policy), []).append(cell)
    return [sorted(group, key=lambda cell: (cell.epochs, cell.params, cell.model)) for group in groups.values()]
