"""`schedule: {reuse_trunk: true}`: which run of a grid starts from which other one's checkpoint, and at what step.

Of the runs that differ in their epoch budget alone, the longest is the parent: it passes every step that the others have in common with
it, and leaves a checkpoint where each of them begins to decay. This changes how runs are done. Their ids and their results stay as they
would be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config import TrainConfig
from trainer.data import Order
from trainer.trunk import trunk_id, trunk_steps

__all__ = ["Branch", "branches"]


@dataclass(frozen=True)
class Branch:
    """Places a run in its trunk.

    trunk: the same for all its runs.
    parent, parent_step: the run it starts from and after which step; None when it starts at the beginning.
    checkpoint_at: steps after which it keeps a checkpoint: where others start, and last where its own decay begins, for a longer budget
        that may be asked for later.
    """

    trunk: str
    parent: str | None = None
    parent_step: int | None = None
    checkpoint_at: tuple[int, ...] = ()


def branches(configs: Sequence[TrainConfig]) -> list[Branch]:
    """Return the branch of each config, in their order."""
    trunks: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        trunks.setdefault(trunk_id(config), []).append(index)
    found: dict[int, Branch] = {}
    for trunk, members in trunks.items():
        longest = max(members, key=lambda index: Order.of(configs[index]).steps)
        most = trunk_steps(configs[longest])
        common = {index: min(most, trunk_steps(configs[index])) for index in members if index != longest}
        parent = configs[longest].run_id()
        found |= {index: Branch(trunk, parent, step) if step else Branch(trunk) for index, step in common.items()}
        found[longest] = Branch(trunk, checkpoint_at=tuple(sorted({*common.values(), most} - {0})))
    return [found[index] for index in range(len(configs))]
