"""Which reference points belong beside a frontier, and at which compute they stand there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.as_csv import as_csv
from analysis.listing import and_listed
from analysis.pareto import Frontier
from analysis.reading.accelerator_hours import check_conversions
from analysis.reference_points.point import ReferencePoint
from analysis.reference_points.read import NAMES, TOP1, points_of
from scaling.accelerators import HourConversion
from scaling.errors import UsageError

__all__ = ["References", "accelerators_of", "references_of"]


@dataclass(frozen=True)
class References:
    """Holds the points beside a frontier of `metric` against `x`. notes: a sentence for each thing to know about them."""

    metric: str
    x: str
    points: tuple[ReferencePoint, ...]
    notes: tuple[str, ...]

    def to_list(self) -> list[dict[str, object]]:
        """Return the points as JSON holds them, each with its source."""
        return [point.to_dict(self.metric, self.x) for point in self.points]

    def to_csv(self) -> str:
        """Return the same as CSV."""
        return as_csv(pd.DataFrame(self.to_list()))


def references_of(
    frontier: Frontier, which: Sequence[str], convert: Iterable[str] = (), measured: Iterable[HourConversion] = ()
) -> References | None:
    """Return the reference points of these series and files beside a frontier; None where none is asked for.

    Core-hours of another accelerator than the runs' are converted by the factor of the point's own row, since factors differ between kinds of
    model; `convert` is for rows without one, and goes on from there.

    Args:
        which: `published`, `digitised`, or paths of CSVs, see `points_of`.
        convert: `theirs:ours=factor`, as of the runs. measured: the factors that `=measured` may name, of `measured_in`.

    Raises:
        UsageError: the points are of another accelerator, and no conversion is named; or the metric of the runs is in per cent.
        DataError: see `points_of`, which says too where a metric or x is none of the file's.
    """
    if not which:
        return None
    metric, x = frontier.metric, frontier.x
    ours = [name for name in which if name in NAMES]
    if ours and (x != "core_hours" or not metric.endswith(TOP1)):
        raise UsageError(
            f"the {and_listed(ours)} points are top-1 errors against core_hours, and the frontier is of {metric} against {x}",
            hint="ask for finetune_top1_error against core_hours, or give points of your own: --reference FILE.csv",
        )
    if metric.endswith(TOP1) and float(frontier.points[metric].max()) > 1:
        raise UsageError(
            f"{metric} of the runs goes up to {frontier.points[metric].max():g}, and the reference points are shares, 0 … 1",
            hint=f"of per cent: --unit {metric}=%",
        )
    points = [point for name in which for point in points_of(name, metric=metric, x=x)]
    notes = [f"{len(points)} reference points are results of others, and enter no fit"]
    if x == "core_hours":
        known = _accelerators(frontier.runs)
        conversions = check_conversions(convert, measured)
        points = [_on(point, known, conversions) for point in points]
        of = sorted({point.counts_as for point in points if point.at is not None and point.counts_as})
        if of and not known:
            notes.append(f"they are of core-hours on {and_listed(of)}; the runs do not say on what they were trained")
    if ours:
        notes.append("they are of ImageNet, whatever the runs were evaluated on")
    if nowhere := [point.name for point in points if point.at is None]:
        notes.append(f"no compute is published of {and_listed(nowhere)}, which is drawn as a line at its height")
    if bounds := [point.name for point in points if point.is_bound]:
        notes.append(f"{and_listed(bounds)} took more than the compute at which it stands")
    return References(metric, x, tuple(points), tuple(notes))


def accelerators_of(which: Sequence[str], metric: str, x: str) -> frozenset[str]:
    """Return the accelerators that `convert` may name for the points' sake: no run need have been trained on them."""
    if x != "core_hours":
        return frozenset()
    points = [point for name in which for point in points_of(name, metric=metric if name not in NAMES else TOP1, x=x)]
    return frozenset(name for point in points for name in (point.accelerator, point.factor_to) if name)


def _accelerators(runs: pd.DataFrame) -> frozenset[str]:
    if "accelerator" not in runs:
        return frozenset()
    return frozenset(str(name) for name in runs["accelerator"].dropna().unique() if name)


def _on(point: ReferencePoint, known: frozenset[str], conversions: Iterable[HourConversion]) -> ReferencePoint:
    """Return the point at core-hours of the runs' accelerator."""
    entries = {entry.theirs: entry for entry in conversions}
    if point.accelerator in known:
        return point.as_stated()
    if point.factor is None and point.accelerator in entries:
        point = point.converted(entries[point.accelerator])
    while point.factor is not None and point.counts_as in entries and point.counts_as not in known:
        point = point.converted(entries.pop(point.counts_as))
    if point.at is not None and known and point.counts_as and point.counts_as not in known:
        theirs, own = point.counts_as, sorted(known)[0]
        raise UsageError(
            f"{point.name} is of core-hours on {theirs}, the runs of {and_listed(sorted(known))}: they do not compare",
            hint=f"name what they are worth: --convert {theirs}:{own}=FACTOR, so many core-hours on {theirs} do what one does on {own}",
        )
    return point
