"""Every exception that `scaling` raises on purpose, in one tree.

    ScalingError                 exit code 1: what was asked for failed
    ├── UsageError               exit code 2: the command, a file or a value is wrong
    │   ├── SpecError            an experiments file with faults, all of them listed
    │   ├── UnknownName          a model, data set, metric … that does not exist
    │   ├── DataNotFound         a data directory or table that is not where it was said to be
    │   └── MissingExtra         a package that only some need, and that is not installed; says which extra brings it
    ├── DataError                data that is there but cannot be used
    │   └── DataFault            … by any run: an image that cannot be read, a data set that has changed
    ├── OutOfMemory              a training step does not fit the device; says which micro-batch would
    ├── TooFewPoints             not enough runs for what was asked; says how many more
    ├── StoreError               the database cannot be read or written
    │   ├── StoreTooNew          written by a newer version of `scaling`
    │   ├── StoreAway            the database's server went away in the middle of a transaction
    │   └── StaleToken           a compare-and-set lost: this attempt is no longer the run's current one
    ├── ServerError              the HTTP API of another machine does not answer, or not as this version understands
    └── ClusterError             Ray, or a resource that the cluster does not have

Expected bad outcomes of a run or a fit are not exceptions but values: see `scaling.outcomes`.
Each exception carries one line of fault and one line of what to do; the command prints both, and for refusals
of the analysis the section of docs/refused.md that says why (`scaling.refusals`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = [
    "ClusterError",
    "DataError",
    "DataFault",
    "DataNotFound",
    "Fault",
    "MissingExtra",
    "OutOfMemory",
    "ScalingError",
    "ServerError",
    "SpecError",
    "StaleToken",
    "StoreAway",
    "StoreError",
    "StoreTooNew",
    "TooFewPoints",
    "UnknownName",
    "UsageError",
    "nearest",
]


class ScalingError(Exception):
    """Reports a fault in one line, with `hint`, one line of what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ScalingError):
    """Reports that the command line, a file or a value is wrong; nothing was started."""

    exit_code = 2


@dataclass(frozen=True)
class Fault:
    """Holds one fault of a file: where it is and what is wrong with it. cause: the exception that says so, if there is one."""

    file: str
    line: int | None
    path: str
    message: str
    cause: BaseException | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class SpecError(UsageError):
    """Reports that an experiments file is not valid. `faults` holds every fault, not only the first."""

    def __init__(self, faults: Iterable[Fault], *, hint: str = "") -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)), hint=hint)


class UnknownName(UsageError):
    """Reports that `name` is none of `known`; the message offers the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        known = tuple(known)
        self.kind, self.name, self.known = kind, name, known
        super().__init__(
            f"unknown {kind} {name!r}{nearest(name, known)}",
            hint=hint or f"known: {', '.join(known)}",
        )


class DataNotFound(UsageError):
    """Reports that a data directory or table is not where it was said to be."""


class MissingExtra(UsageError):
    """Reports that a package is needed of an extra that is not installed; the hint is the command that installs it."""


class DataError(ScalingError):
    """Reports that the data is there but cannot be used: corrupt, empty, wrong shape, wrong unit."""


class DataFault(DataError):
    """Reports a fault of the data themselves: every run that reads them ends so, in the same words."""


class OutOfMemory(ScalingError):
    """Reports that a training step needs more memory than the device has."""


class TooFewPoints(ScalingError):
    """Reports that a fit needs more runs. `have` and `need` count distinct values of x."""

    def __init__(self, message: str, *, have: int, need: int, hint: str = "") -> None:
        self.have, self.need = have, need
        super().__init__(message, hint=hint)


class StoreError(ScalingError):
    """Reports that the store cannot be read or written."""


class StoreTooNew(StoreError):
    """Reports that the store was written by a newer version of `scaling`; nothing was touched."""


class StoreAway(StoreError):
    """Reports that the database's server went away in the middle of a transaction.

    Nobody knows whether that one was committed: begin anew.
    """


class StaleToken(StoreError):
    """Reports that this attempt is no longer the current one of its run, so its results do not count."""


class ServerError(ScalingError):
    """Reports that a `scaling serve` elsewhere cannot be reached, or is none."""


class ClusterError(ScalingError):
    """Reports that Ray cannot be reached or does not have what a run asks for."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "F3"?` when one of `known` is close to `name`, else an empty string."""
    by_folded_name = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(str(name).lower(), by_folded_name, n=1, cutoff=0.5)
    return f'; did you mean "{by_folded_name[close[0]]}"?' if close else ""
