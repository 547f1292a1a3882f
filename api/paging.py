"""Keyset pages of runs: a page says where the next one starts, so rows that arrive meanwhile move nothing."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from scaling.errors import UsageError

__all__ = ["Position"]


@dataclass(frozen=True)
class Position:
    """Marks a place in the list: after the run `run_id`, where `count` runs come before; or before it, for the page before (`back`).

    version: the token of the version that the first page was of: what changed since then may be missing from the pages.
    """

    run_id: str
    count: int
    back: bool = False
    version: str = ""

    def token(self) -> str:
        """Return an opaque text for a URL; its content may change between versions."""
        text = json.dumps([self.run_id, self.count, int(self.back), self.version], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> Position:
        """Read what `token` made. Raises `UsageError` for any other text."""
        try:
            run_id, count, back, version = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            if not isinstance(run_id, str) or not run_id.isprintable() or not isinstance(count, int) or not 0 <= count < 2**53:
                raise ValueError(f"{run_id!r}, {count!r}")
            if not isinstance(version, str):
                raise ValueError(repr(version))
            return cls(run_id, count, bool(back), version)
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
            raise UsageError(
                "`next` is not a token that this API gave out", hint="leave it out to start from the first page"
            ) from error
