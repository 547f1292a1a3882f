"""Questions about the cells of the runs: the frontier, and laws of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from analysis.questions.parameters import CHOSEN, METRIC, SURFACE, Level, Objective, Pin, Reference, Tie, X
from analysis.questions.question import Asked, Question


@dataclass(frozen=True)
class AnalysisQuestion(Question):
    """Says which runs an analysis is made of."""

    where: Annotated[
        tuple[str, ...],
        Asked("Only runs with this value of a column, or one of several: seed=0,1; repeatable.", shape="COLUMN=VALUE"),
    ] = ()
    price: Annotated[
        tuple[str, ...],
        Asked(
            'Price of a chip-hour, which makes the column cost: ACCELERATOR=2.5, of all runs 2.5, or with a currency "H100=2.5 EUR"; repeatable.',
            more="Or a CSV of them, accelerator,price.",
            shape="ACCELERATOR=PRICE",
        ),
    ] = ()
    convert: Annotated[
        tuple[str, ...],
        Asked(
            "THEIRS:OURS=FACTOR: so many core-hours on accelerator THEIRS count as one on OURS; repeatable.",
            shape="THEIRS:OURS=FACTOR",
        ),
    ] = ()
    cell: Annotated[
        tuple[str, ...],
        Asked("Columns that tell cells apart besides the known settings: what is averaged; a,b or repeated.", shape="COLUMNS"),
    ] = ()

    def check(self) -> None:
        from analysis.laws import law_named  # the commands make their options of questions before anything heavy is loaded

        own = getattr(self, "law", None) or ()
        for name in (own,) if isinstance(own, str) else own:
            if name not in (CHOSEN, "auto", "none"):
                law_named(name)


@dataclass(frozen=True)
class FrontierQuestion(AnalysisQuestion):
    """Asks for the frontier of a metric against a measure of compute."""

    COMMAND: ClassVar[tuple[str, ...]] = ("frontier",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x")

    metric: Annotated[str, Asked(METRIC, "Metric", is_column=True, told=True)] = "val_loss"
    x: Annotated[str, Asked(X, "Compute", is_column=True, told=True)] = "core_hours"

    @property
    def plain(self) -> FrontierQuestion:
        """Return what all questions about the frontier share, without what a view adds."""
        return self.narrowed(FrontierQuestion)


@dataclass(frozen=True)
class BesideQuestion(FrontierQuestion):
    """Asks for the frontier, and for results of others beside it."""

    reference: Reference = None


@dataclass(frozen=True)
class ClusteredQuestion(FrontierQuestion):
    """Asks about laws, with what is resampled together for their intervals."""

    COMMAND: ClassVar[tuple[str, ...]] = ("fit",)

    clusters: Annotated[
        tuple[str, ...],
        Asked("Columns whose values are resampled as one; the runs of a cell when left out; a,b or repeated.", shape="COLUMNS"),
    ] = ()

    def fits(self, laws: Iterable[str] = ()) -> FitsQuestion:
        """Make the question that asks the JSON API for laws of these cells; when none is named, for the law of this question, if any."""
        own = getattr(self, "law", None)
        named = tuple(laws) or ((own,) if own not in (None, "none", CHOSEN) else ())
        return FitsQuestion(**vars(self.narrowed(ClusteredQuestion)), law=named, on=getattr(self, "on", None))


@dataclass(frozen=True)
class DrawnQuestion(ClusteredQuestion):
    """Asks for intervals, and says how they are drawn."""

    level: Level = 0.95
    bootstrap: Annotated[int, Asked("Draws behind the intervals of a law with a floor.", least=100, most=20_000)] = 1000
    seed: Annotated[int, Asked("Of those draws.")] = 0


@dataclass(frozen=True)
class FitsQuestion(DrawnQuestion):
    """Asks for fits: which laws, to which runs, and how."""

    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x", "law", "on", "objective")

    law: Annotated[
        tuple[str, ...],
        Asked(
            "Names of laws; when left out the one that forecasts best first, then power and power-floor.",
            more="Of one input: power, power-floor, saturating, hill, broken. Of size and examples: chinchilla, chinchilla-tied, skaling. With unique examples: data-constrained, data-constrained-both, repeat-penalty. Of size, steps and batch size: three-term. Or auto, the forecast, which may average laws. Repeatable.",
        ),
    ] = ()
    on: Annotated[
        Literal["frontier", "all", "both"] | None,
        Asked(
            "The compute-optimal cells, every cell, or both in turn.",
            more="frontier, all, both. Default: the frontier of a grid (sizes × epochs), else all; as JSON and CSV both.",
        ),
    ] = "both"
    x: Annotated[str, Asked(X, is_column=True, told=True, more=SURFACE)] = "core_hours"
    objective: Objective = "log"
    pin: Pin = ()
    tie: Tie = ()

    @property
    def axes(self) -> str | tuple[str, ...] | None:
        """Return `x` as `analysis.fit` takes it: one column, several for a surface, or None for those that the laws themselves name."""
        columns = tuple(self.x.split(","))
        if columns == ("core_hours",) and self.law:
            return None
        return columns[0] if len(columns) == 1 else columns
