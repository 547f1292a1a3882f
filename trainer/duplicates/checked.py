"""What a search for duplicates found in several pairs of splits: the images to leave out, conflicts of labels, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainer.data.exclusion import ExclusionList, ExclusionRow
from trainer.duplicates.finding import RULES, Found, Pair
from trainer.duplicates.splits import Split

__all__ = ["Checked"]


@dataclass(frozen=True)
class Checked:
    """Holds what was found in each pair of splits that was compared.

    Of a pair of images in two splits, that of the first is left out. Of two images of one split, the later one is: the first of a group stays.
    """

    found: tuple[Found, ...]

    @property
    def splits(self) -> tuple[Split, ...]:
        """Return the splits that were read, each once."""
        every = (split for each in self.found for split in (each.a, each.b))
        return tuple({(split.fingerprint, split.name): split for split in every}.values())

    def called(self, split: Split) -> str:
        """Name a split, with its data set's fingerprint where another data set here has the same name."""
        alike = {other.fingerprint for other in self.splits if other.data == split.data}
        return str(split) if len(alike) < 2 else f"{split.data} ({split.fingerprint}) {split.name}"

    @cached_property
    def excluded(self) -> ExclusionList:
        """Return the images to leave out, each once, with the partner that is nearest to it."""
        nearest: dict[tuple[str, str, int], tuple[tuple[float, int, int], ExclusionRow]] = {}
        for order, (each, pair) in enumerate(self._pairs()):
            gone, kept = (pair.b, pair.a) if each.is_within else (pair.a, pair.b)
            place = (each.a.fingerprint, each.a.name, gone)
            rank = (pair.distance, RULES.index(pair.rule), order)
            if place not in nearest or rank < nearest[place][0]:
                nearest[place] = (rank, _row(each, pair, gone, kept))
        rows = tuple(row for _, (_, row) in sorted(nearest.items()))
        checks = tuple(((each.a.fingerprint, each.a.name), (each.b.fingerprint, each.b.name)) for each in self.found)
        names = {split.fingerprint: split.data for split in self.splits}
        return ExclusionList(rows, checks, names, {split.fingerprint: len(split) for split in self.splits if split.name == "train"})

    @property
    def unreadable(self) -> tuple[tuple[Split, tuple[tuple[str, str], ...]], ...]:
        """Return (split, ((id, reason), …)) of each split that has images which cannot be read, and so were not compared."""
        every = ((split, bad) for f in self.found for split, bad in ((f.a, f.unreadable_a), (f.b, f.unreadable_b)) if bad)
        return tuple({(split.fingerprint, split.name): (split, bad) for split, bad in every}.values())

    @cached_property
    def conflicts(self) -> tuple[tuple[Found, Pair], ...]:
        """Return the pairs whose labels differ, of splits that count their classes alike."""
        return tuple((each, pair) for each in self.found for pair in each.conflicts)

    @cached_property
    def left(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return (images left, images) of each split that loses some, by fingerprint and name."""
        gone = Counter((row.data, row.split) for row in self.excluded.rows)
        sizes = {(split.fingerprint, split.name): len(split) for split in self.splits}
        return {place: (sizes[place] - count, sizes[place]) for place, count in gone.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return every pair with both ids and the rule, as plain values."""
        unreadable = {(split.fingerprint, split.name): bad for split, bad in self.unreadable}
        return {
            "splits": [
                {
                    "data": split.data,
                    "fingerprint": split.fingerprint,
                    "split": split.name,
                    "images": len(split),
                    "unreadable": [
                        {"id": name, "reason": reason} for name, reason in unreadable.get((split.fingerprint, split.name), ())
                    ],
                }
                for split in self.splits
            ],
            "checks": [
                {
                    "a": _place(each.a),
                    "b": _place(each.b),
                    "pairs": len(each.pairs),
                    "by_rule": each.by_rule,
                }
                for each in self.found
            ],
            "pairs": [_pair(each, pair) for each, pair in self._pairs()],
            "label_conflicts": [_pair(each, pair) for each, pair in self.conflicts],
            "excluded": [
                {"fingerprint": data, "split": split, "images": images - left, "left": left}
                for (data, split), (left, images) in self.left.items()
            ],
        }

    def _pairs(self) -> Iterator[tuple[Found, Pair]]:
        for each in self.found:
            for pair in each.pairs:
                yield each, pair


def _row(each: Found, pair: Pair, gone: int, kept: int) -> ExclusionRow:
    return ExclusionRow(
        data=each.a.fingerprint,
        split=each.a.name,
        index=gone,
        id=each.a.id(gone),
        rule=pair.rule,
        distance=pair.distance,
        orientation=pair.orientation,
        label=each.a.label(gone),
        partner_data=each.b.fingerprint,
        partner_split=each.b.name,
        partner=each.b.id(kept),
        partner_label=each.b.label(kept),
    )


def _pair(each: Found, pair: Pair) -> dict[str, Any]:
    return {
        "a": _place(each.a) | {"id": each.a.id(pair.a), "label": each.a.label(pair.a)},
        "b": _place(each.b) | {"id": each.b.id(pair.b), "label": each.b.label(pair.b)},
        "rule": pair.rule,
        "distance": round(pair.distance, 6),
        "orientation": pair.orientation,
    }


def _place(split: Split) -> dict[str, str]:
    return {"data": split.data, "fingerprint": split.fingerprint, "split": split.name}
