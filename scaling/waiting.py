"""Words on runs that are not over yet: the command, the pages and the hints of the analysis use the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.outcomes import RunStatus

__all__ = ["Waiting", "duration", "time_left"]

_WORDS = {RunStatus.RUNNING: "running", RunStatus.PENDING: "waiting", RunStatus.PAUSED: "paused"}


@dataclass(frozen=True)
class Waiting:
    """Counts runs of which some are still to come.

    counts: status → runs; only statuses that occur.
    seconds: until all are over, by what the finished ones took; None where that is not known.
    has_scheduler: one is at work on them, as far as is known.
    """

    counts: Mapping[str, int]
    seconds: float | None = None
    has_scheduler: bool = True

    @classmethod
    def of(cls, counts: Mapping[str, int], seconds: float | None = None, *, has_scheduler: bool = True) -> Waiting | None:
        """Make the count, or None where every run is over."""
        return cls(counts, seconds, has_scheduler) if any(counts.get(status) for status in _WORDS) else None

    def __str__(self) -> str:
        """Write `2 of 62 runs have finished, 2 are running, 58 waiting: about 40 s left`."""
        finished, total = self.counts.get(RunStatus.FINISHED, 0), sum(self.counts.values())
        left = [
            f"{count} {'is' if count == 1 else 'are'} {word}"
            for status, word in _WORDS.items()
            if (count := self.counts.get(status))
        ]
        time = "" if self.seconds is None else f": about {time_left(self.seconds)} left"
        return f"{finished} of {total} run{'' if total == 1 else 's'} {'has' if finished == 1 else 'have'} finished, {', '.join(left)}{time}"

    @property
    def advice(self) -> str:
        """Return what to do about them."""
        if not self.has_scheduler and self.counts.get(RunStatus.RUNNING):
            return "no scheduler is at work: `scaling submit` goes on with them"
        if self.counts.get(RunStatus.RUNNING):
            return "`scaling status` shows how far they are"
        return "`scaling submit` goes on with them, `scaling runs` says why they wait"


def duration(seconds: float) -> str:
    """Write a duration as `48 s`, `12 min`, `3.5 h`, `21 d`."""
    for size, unit in ((172_800, "d"), (5_400, "h"), (90, "min")):
        if seconds >= size:
            amount = seconds / {"d": 86_400, "h": 3_600, "min": 60}[unit]
            return f"{amount:.3g} {unit}"
    return f"{seconds:.0f} s"


def time_left(seconds: float) -> str:
    """Write a time that is only estimated: as `duration`, in whole minutes and days and to a tenth of an hour."""
    number, unit = duration(seconds).split()
    return f"{float(number):.{1 if unit == 'h' else 0}f} {unit}"
