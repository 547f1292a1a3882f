"""Keyset pages of runs: a page says where the next one starts, so rows that arrive meanwhile move nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scaling.errors import UsageError

__all__ = ["Position"]


@dataclass(frozen=True)
class Position:
    """Marks a place in the list: after the run with this `created_at` and `id`, which is the `count`-th of the whole list."""

    created_at: datetime
    run_id: str
    count: int

    @classmethod
    def after(cls, row: Mapping[str, Any], count: int) -> Position:
        return cls(datetime.fromisoformat(row["created_at"]), row["id"], count)

    def token(self) -> str:
        """Return an opaque text for a URL; its content may change between versions."""
        text = json.dumps([self.created_at.isoformat(), self.run_id, self.count], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> Position:
        """Read what `token` made. Raises `UsageError` for any other text."""
        try:
            created_at, run_id, count = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            if not isinstance(run_id, str) or "\x00" in run_id or not isinstance(count, int) or not 0 <= count < 2**53:
                raise ValueError(f"{run_id!r}, {count!r}")
            time = datetime.fromisoformat(created_at)
            time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
            return cls(time, run_id, count)
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
            raise UsageError(
                "`next` is not a token that this API gave out", hint="leave it out to start from the first page"
            ) from error

    @property
    def key(self) -> tuple[datetime, str]:
        """Return what `queries.runs(after=…)` takes."""
        return self.created_at, self.run_id
