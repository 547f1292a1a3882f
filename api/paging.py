"""Keyset pages of runs: a page says where the next one starts, so rows that arrive meanwhile move nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from scaling.errors import UsageError

__all__ = ["Position", "digest"]


@dataclass(frozen=True)
class Position:
    """Marks a place in the list: after the run `run_id`, where `count` runs come before; or before it, for the page before (`back`).

    version: the token of the version that the first page was of: what changed since then may be missing from the pages. asked: of `digest`,
    of the conditions and the order: the place is one in that list alone.
    """

    run_id: str
    count: int
    back: bool = False
    version: str = ""
    asked: str = ""

    def token(self) -> str:
        """Return an opaque text for a URL; its content may change between versions."""
        text = json.dumps([self.run_id, self.count, int(self.back), self.version, self.asked], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str, asked: str) -> Position:
        """Read what `token` made for the list `asked`. Raises `UsageError` for any other text, and for a place in another list."""
        found = cls._read(token)
        if found.asked != asked:
            raise UsageError(
                "`next` is of a list with other conditions or another order", hint="ask as for the page before, or leave it out"
            )
        return found

    @classmethod
    def _read(cls, token: str) -> Position:
        try:
            run_id, count, back, version, asked = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            if not isinstance(run_id, str) or not run_id.isprintable() or not isinstance(count, int) or not 0 <= count < 2**53:
                raise ValueError(f"{run_id!r}, {count!r}")
            if not isinstance(version, str) or not isinstance(asked, str):
                raise ValueError(f"{version!r}, {asked!r}")
            return cls(run_id, count, bool(back), version, asked)
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
            raise UsageError(
                "`next` is not a token that this API gave out", hint="leave it out to start from the first page"
            ) from error


def digest(conditions: Mapping[str, object]) -> str:
    """Return a short text for the conditions and the order of a list: the same for the same ones."""
    return hashlib.sha256(json.dumps(conditions, sort_keys=True, default=str).encode()).hexdigest()[:8]
