"""The version of the table of runs that a client has: which changes it has seen."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from api.problems import VersionGone
from orchestrator.store import Session, queries, run_changes
from scaling.errors import UsageError

__all__ = ["RunVersion"]

_TOKEN = re.compile(r"([0-9a-f]{1,13})-([0-9]{1,18})(-left)?")


@dataclass(frozen=True)
class RunVersion:
    """Says which changes of runs were seen: those of the count `counted_as` up to `number`.

    gone: whether the scheduler was gone then. Nobody writes that down, but its runs are pending then.
    """

    counted_as: int
    number: int
    gone: bool = False

    @classmethod
    def of(cls, session: Session) -> RunVersion:
        """Return the version that a session sees."""
        return cls(run_changes.counted_as(session), run_changes.latest(session), queries.is_gone(session))

    @classmethod
    def parse(cls, token: str) -> RunVersion:
        """Read what `token` made. Raises `UsageError` for any other text."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            raise UsageError(
                "`after` is not a version that this API gave out",
                hint="leave it out to read all runs; `version` of the answer is what to ask with next time",
            )
        return cls(int(parts[1], 16), int(parts[2]), parts[3] is not None)

    def token(self) -> str:
        """Return an opaque text for a URL; its content may change between versions of scaling."""
        return f"{self.counted_as:x}-{self.number}{'-left' if self.gone else ''}"

    def up_to(self, number: int) -> RunVersion:
        """Return the version of a client that has seen only the changes up to `number` yet."""
        return replace(self, number=number)

    def refuse_another_store(self, now: RunVersion) -> None:
        """Raise `VersionGone` where this version is not one of the store that is at `now`."""
        if self.counted_as != now.counted_as or self.number > now.number:
            raise VersionGone(
                "this version is of another store, or of a later state of this one",
                hint="the store was replaced: forget what you have, and ask without `after`",
            )
