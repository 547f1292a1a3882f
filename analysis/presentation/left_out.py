"""Runs left out of an answer, as pages and reports list them: by reason, the most frequent first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from analysis.selection import Excluded

__all__ = ["by_reason"]

IDS_SHOWN = 40


def by_reason(excluded: Iterable[Excluded]) -> list[dict[str, object]]:
    """Group the runs left out for the macro `left_out`: the kind of reason, how many, and the first entries of each."""
    groups: dict[str, list[Excluded]] = defaultdict(list)
    for entry in excluded:
        groups[entry.kind].append(entry)
    return [
        {"kind": kind, "count": len(entries), "entries": entries[:IDS_SHOWN]}
        for kind, entries in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]
