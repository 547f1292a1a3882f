"""`Recorder` writes down which examples a run uses, while it trains.

    <attempt>/audit.jsonl          one line per epoch and flush; with several hosts audit-<index>.jsonl, one file each

A line holds the positions of a stretch of steps and the multiset of the ids that came with the images of those steps. A step whose ids
are not the ones that the order has at its positions is spelled out, so that the audit can name them. The comparison decides only what is
spelled out: the sums are of the ids that came.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from trainer.audit.multiset import Multiset
from trainer.data.batch import Batch, Skipped
from trainer.data.order import Order
from trainer.storage import storage_at

__all__ = ["Differing", "Line", "Recorder", "file_of"]

_TOGETHER = 64
"""Steps that are compared with the order and hashed at once: one by one, making NumPy's arrays would cost more than the work on them."""


def file_of(shard: tuple[int, int] = (0, 1)) -> str:
    """Return the name of a host's record in an attempt's folder. shard: (index, count) of the host."""
    index, count = shard
    return "audit.jsonl" if count == 1 else f"audit-{index}.jsonl"


class Differing(TypedDict):
    """Spells out a step whose ids are not those of the order. positions: [start, stop]."""

    step: int
    positions: list[int]
    ids: list[int]


class Line(TypedDict):
    """Records a stretch of steps, as a line of the file.

    steps: [first, last]. positions: see `_Stretch.add`. used: see `Multiset.to_json`.
    """

    epoch: int
    steps: list[int]
    positions: list[list[int]]
    used: list[int | str]
    skipped: NotRequired[list[Skipped]]
    differs: NotRequired[list[Differing]]


@dataclass
class _Stretch:
    """Collects consecutive steps of one epoch for a `Line`."""

    epoch: int
    first_step: int
    last_step: int
    used: Multiset = field(default_factory=Multiset)
    runs: list[list[int]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    differs: list[Differing] = field(default_factory=list)

    def add(self, step: int, span: range) -> None:
        """Add the positions of one more step. An entry of `runs` is [start, length, stride, times]: hosts see slices at equal distances."""
        self.last_step = step
        if self.runs:
            start, length, stride, times = last = self.runs[-1]
            if len(span) == length and (times == 1 or span.start == start + stride * times) and span.start > start:
                last[2:] = [span.start - start if times == 1 else stride, times + 1]
                return
        self.runs.append([span.start, len(span), 0, 1])

    def to_json(self) -> Line:
        line: Line = {
            "epoch": self.epoch,
            "steps": [self.first_step, self.last_step],
            "positions": self.runs,
            "used": self.used.to_json(),
        }
        if self.skipped:
            line["skipped"] = self.skipped
        if self.differs:
            line["differs"] = self.differs
        return line


class Recorder:
    """Takes the ids that entered each step and writes them down at each `flush`.

    Call `flush` before a checkpoint of the same step is committed: on resume only the steps up to the checkpoint count, and a line lies
    wholly before or wholly after it.

    Args:
        directory: the attempt's own folder or fsspec URL.
        order: the order of the run.
        shard: (index, count) of this host, as the loader's.
        first_step: where the attempt starts. Lines that an earlier life of it wrote in this folder are removed from that step on.
    """

    def __init__(self, directory: str | Path, order: Order, *, shard: tuple[int, int] = (0, 1), first_step: int = 0) -> None:
        self._storage, self._name, self._order = storage_at(directory), file_of(shard), order
        self._epoch_positions = order.examples * order.repeats
        self._open: dict[int, _Stretch] = {}
        self._waiting: list[tuple[int, range, np.ndarray]] = []
        self._forget_from(first_step)

    def record_batch(self, batch: Batch) -> None:
        """Record one step from the batch that it was given: the rows with weight are used."""
        heavy = batch.weights[: len(batch.ids)] > 0
        if not batch.skipped and 0 < len(batch.ids) == len(batch.positions) == len(heavy) and heavy.all():
            self._waiting.append((batch.step, batch.positions, np.array(batch.ids)))  # the reader fills its own array anew
            if len(self._waiting) >= _TOGETHER:
                self._record_waiting()
            return
        named = {position for position, _, _ in batch.skipped}
        kept = [bool(weight) or position in named for weight, position in zip(heavy, batch.positions, strict=False)]
        kept += [True] * (len(batch.ids) - len(kept))
        self.record(batch.step, batch.positions, batch.ids[np.array(kept, bool)], batch.skipped)

    def record(self, step: int, positions: range, ids: np.ndarray, skipped: Iterable[Skipped] = ()) -> None:
        """Record one step: its global positions, the ids that came with its images, and those among them that were left out."""
        self._record_waiting()
        skipped = tuple(skipped)
        first, last = positions.start // self._epoch_positions, max(positions.stop - 1, positions.start) // self._epoch_positions
        planned = self._order.draws(positions).ids
        as_planned = np.array_equal(planned, ids)
        for epoch in range(first, last + 1) if len(positions) or len(ids) else ():
            begin = max(positions.start, epoch * self._epoch_positions)
            span = range(begin, min(positions.stop, (epoch + 1) * self._epoch_positions))
            place = begin - positions.start
            # Ids that are more or fewer than the positions are counted to the last epoch of the step: nothing says where they belong.
            of_epoch = np.asarray(ids)[place:] if epoch == last else np.asarray(ids)[place : place + len(span)]
            left_out = [entry for entry in skipped if entry[0] in span]
            stretch = self._open.setdefault(epoch, _Stretch(epoch, step, step))
            stretch.add(step, span)
            stretch.used += Multiset.of(_without(of_epoch, [number for _, number, _ in left_out]))
            stretch.skipped += left_out
            if not as_planned:
                stretch.differs.append(
                    {"step": step, "positions": [span.start, span.stop], "ids": [int(number) for number in of_epoch]}
                )

    def _record_waiting(self) -> None:
        """Record the steps that wait, as `record` does each of them.

        Where all ids came as planned and are of one epoch, their hashes are summed at once.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        epochs = {
            place // self._epoch_positions for _, span, _ in waiting for place in (span.start, max(span.stop - 1, span.start))
        }
        ids = np.concatenate([ids for *_, ids in waiting])
        planned = np.concatenate([self._order.draws(span).ids for _, span, _ in waiting])
        if len(epochs) > 1 or not np.array_equal(ids, planned):
            for step, span, ids in waiting:
                self.record(step, span, ids)
            return
        stretch = self._open.setdefault(epoch := epochs.pop(), _Stretch(epoch, waiting[0][0], waiting[0][0]))
        for step, span, _ in waiting:
            stretch.add(step, span)
        stretch.used += Multiset.of(ids)

    def flush(self) -> None:
        """Write what was recorded since the last flush, so that it survives a power cut."""
        self._record_waiting()
        if not self._open:
            return
        lines = [json.dumps(self._open[epoch].to_json(), separators=(",", ":")) for epoch in sorted(self._open)]
        self._storage.append(self._name, "".join(f"{line}\n" for line in lines).encode())
        self._open = {}

    def _forget_from(self, step: int) -> None:
        with suppress(FileNotFoundError), self._storage.open(self._name) as file:
            lines = file.read().splitlines(keepends=True)
            kept = [line for line in lines if _last_step(line) < step]
            if kept != lines:
                self._storage.publish(self._name, b"".join(kept))


def _last_step(line: bytes) -> float:
    """Return the last step of a line of the record, or infinity for a line that was cut off while it was written."""
    try:
        return json.loads(line)["steps"][1]
    except ValueError:
        return math.inf


def _without(ids: np.ndarray, left_out: list[int]) -> np.ndarray:
    """Return `ids` with each of `left_out` taken away once."""
    if not left_out:
        return ids
    kept = list(map(int, ids))
    for number in left_out:
        if number in kept:
            kept.remove(number)
    return np.array(kept, np.int64)
