"""`check` audits whether a run used each example exactly once an epoch, over all its attempts.

Three things are shown, in this order:

1. The recorded positions of the surviving steps cover 0 … total − 1, each once: no step is missing and none counts twice.
2. For each whole epoch, the ids that entered it and those left out as unreadable are together the multiset {0 … n − 1}. They are compared
   with a sum over that set, in which the order plays no part.
3. For an epoch of which the run has only a part, the multiset is that of the ids that the order puts at these positions. No id occurs
   there twice, because each leads back to its place by the inverse permutation.

Time: about 20 ns an id for whole epochs, 600 ns for parts (on a busy machine). Where a sum differs, the steps that were spelled out name
the ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainer.audit.multiset import Multiset
from trainer.audit.record import Differing, Line, file_of
from trainer.data.order import Order
from trainer.data.permutation import unpermute
from trainer.storage import storage_at

__all__ = ["AuditReport", "EpochAudit", "Stretch", "check"]

_NAMED = 20
"""Ids that a report names; it counts them all."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Stretch:
    """Holds the steps of an attempt that survive: from `first_step` to before `stop_step`, where its successor took over.

    hosts: processes that each kept a record of their own slices. None takes the records that are there: a missing one shows as positions
        that nobody used.
    """

    directory: str | Path
    first_step: int
    stop_step: int
    hosts: int | None = None


@dataclass(frozen=True)
class EpochAudit:
    """Counts which examples entered one epoch, or the part of it that the run has.

    expected: uses that it should hold. used, skipped: uses it holds, and those left out because the example could not be read.
    exact: whether the ids used and skipped are those that are due.
    missing, repeated: ids used too seldom and too often, as far as the records tell.
    """

    epoch: int
    expected: int
    used: int
    skipped: int
    exact: bool
    missing: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """Says what `check` found in the part of a run that is done.

    `clean` means that each pass over the data used every example exactly `repeats` times, except those named as skipped.

    total: positions of the whole run. covered: positions of the steps that survive.
    skipped: (epoch, id, reason). faults: what is wrong, one sentence each.
    """

    total: int
    covered: int
    epochs: tuple[EpochAudit, ...]
    skipped: tuple[tuple[int, int, str], ...]
    faults: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def clean(self) -> bool:
        """Say whether the run has used something, and nothing is wrong with what it has used so far."""
        return self.covered > 0 and not self.faults

    @property
    def complete(self) -> bool:
        """Say whether the surviving steps cover the whole run."""
        return self.covered == self.total

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain JSON values."""
        return {name: getattr(self, name) for name in ("clean", "complete", "total", "covered", "repeats")} | {
            "epochs": [vars(epoch) | {"missing": list(epoch.missing), "repeated": list(epoch.repeated)} for epoch in self.epochs],
            "skipped": [{"epoch": epoch, "id": number, "reason": reason} for epoch, number, reason in self.skipped],
            "faults": list(self.faults),
        }


def check(stretches: Sequence[Stretch], order: Order) -> AuditReport:
    """Audit which examples a run used, by the records of its attempts.

    Args:
        stretches: the attempts whose steps survive, each with the steps that do; together from step 0 to the last one so far.
        order: the order of the run.
    """
    faults: list[str] = []
    lines = [line for stretch in stretches for line in _surviving_lines(stretch, faults)]
    stop_step = max((stretch.stop_step for stretch in stretches), default=0)
    covered = order.positions(stop_step - 1).stop if stop_step else 0
    faults += _coverage_faults(lines, covered)
    epochs = [_audit_epoch(epoch, lines, order, covered) for epoch in range(-(-covered // (order.examples * order.repeats)))]
    faults += [_sentence(epoch) for epoch in epochs if not epoch.exact]
    skipped = [(line["epoch"], number, reason) for line in lines for _, number, reason in line.get("skipped", ())]
    return AuditReport(order.total, covered, tuple(epochs), tuple(sorted(skipped)), tuple(faults), order.repeats)


def _surviving_lines(stretch: Stretch, faults: list[str]) -> list[Line]:
    """Read the lines of the steps that count. `faults` gets a sentence for each record that is missing, and each line that cannot be split.

    A line on both sides of a border cannot be split, which is a fault of whoever wrote it.
    """
    kept, storage = [], storage_at(stretch.directory)
    hosts = stretch.hosts or max(1, sum(name.startswith("audit-") for name in storage.names("")))
    for host in range(hosts):
        name = file_of((host, hosts))
        path = f"{storage.url}/{name}"
        try:
            with storage.open(name) as file:
                text = file.read().decode()
        except FileNotFoundError:
            if stretch.stop_step > stretch.first_step:
                faults.append(f"{path} is not there: nothing says what steps {stretch.first_step} to {stretch.stop_step - 1} used")
            continue
        for row in text.splitlines():
            try:
                line = json.loads(row)
            except ValueError:
                continue  # cut short by a crash while it was written; if its steps count, they will be found missing
            first, last = line["steps"]
            if stretch.first_step <= first and last < stretch.stop_step:
                kept.append(line)
            elif first < stretch.stop_step and last >= stretch.first_step:
                faults.append(
                    f"{path}: steps {first} to {last} were recorded together, but only {stretch.first_step} to {stretch.stop_step - 1} count"
                )
    return kept


def _coverage_faults(lines: Sequence[Line], covered: int) -> list[str]:
    """Name the positions that no step or more than one step used, one sentence a stretch of them."""
    spans = [
        np.stack([starts := start + stride * np.arange(times), starts + length], axis=1)
        for line in lines
        for start, length, stride, times in line["positions"]
    ]
    table = np.concatenate(spans) if spans else np.empty((0, 2), np.int64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    ends = np.maximum.accumulate(np.concatenate([[0], table[:, 1]]))
    starts = np.concatenate([table[:, 0], [covered]])
    faults = [
        f"positions {ends[k]} to {starts[k] - 1} were used by no recorded step"
        if starts[k] > ends[k]
        else f"positions {starts[k]} to {min(ends[k], table[k, 1] if k < len(table) else ends[k]) - 1} were used twice"
        for k in np.flatnonzero(starts != ends)
    ]
    return faults if len(faults) <= _NAMED else [*faults[:_NAMED], f"… and {len(faults) - _NAMED} more such stretches"]


@dataclass
class _Uses:
    """Collects what the record's lines say of one epoch."""

    used: Multiset = field(default_factory=Multiset)
    skipped: list[int] = field(default_factory=list)
    differs: list[Differing] = field(default_factory=list)


def _audit_epoch(epoch: int, lines: Sequence[Line], order: Order, covered: int) -> EpochAudit:
    uses = _Uses()
    for line in lines:
        if line["epoch"] == epoch:
            uses.used += Multiset.from_json(line["used"])
            uses.skipped += [number for _, number, _ in line.get("skipped", ())]
            uses.differs += line.get("differs", ())
    size = order.examples * order.repeats
    span = range(epoch * size, min((epoch + 1) * size, covered))
    if len(span) == size:
        expected, distinct = Multiset.of_all(order.examples, order.repeats), True
    else:
        expected, distinct = _of_part(order, span)
    found = uses.used + Multiset.of(np.array(uses.skipped, np.int64))
    missing, repeated = _named(uses.differs, order)
    return EpochAudit(
        epoch, len(span), uses.used.count, len(uses.skipped), found == expected and distinct, tuple(missing), tuple(repeated)
    )


def _of_part(order: Order, span: range) -> tuple[Multiset, bool]:
    """Sum the ids that the order puts at a part of an epoch, and say whether no id is there twice.

    None is there twice if each leads back to a place of its own.
    """
    whole, distinct = Multiset(), True
    for first in range(span.start, span.stop, _CHUNK):
        draws = order.draws(range(first, min(first + _CHUNK, span.stop)))
        whole += Multiset.of(draws.ids)
        places = np.arange(draws.positions.start, draws.positions.stop) // order.repeats % order.examples
        distinct &= np.array_equal(unpermute(draws.ids, order.examples, (order.seed, int(draws.epochs[0]))), places)
    return whole, distinct


def _named(differs: Sequence[Differing], order: Order) -> tuple[list[int], list[int]]:
    """List the ids used too seldom and too often, from the steps that were spelled out. One that only moved to another step is neither."""
    balance: Counter[int] = Counter()
    for step in differs:
        balance.update(step["ids"])
        balance.subtract(map(int, order.draws(range(*step["positions"])).ids))
    return sorted(n for n, count in balance.items() if count < 0), sorted(n for n, count in balance.items() if count > 0)


def _sentence(epoch: EpochAudit) -> str:
    told = [
        f"{len(ids)} {what} ({', '.join(map(str, ids[:_NAMED]))}{', …' if len(ids) > _NAMED else ''})"
        for what, ids in (("used too seldom", epoch.missing), ("used too often", epoch.repeated))
        if ids
    ]
    found = f"epoch {epoch.epoch}: {epoch.used} uses and {epoch.skipped} skipped where {epoch.expected} are due"
    return f"{found}: {'; '.join(told)}" if told else f"{found}: the ids are not those of the epoch, and no step says which"
