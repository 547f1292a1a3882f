"""What a link can ask: query parameters, checked, and the command that answers the same question."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from analysis.interval import LEVELS
from orchestrator.store import DEFAULT_URL
from scaling.columns import column_name

__all__ = [
    "CHOSEN",
    "AnalysisQuestion",
    "ClusteredQuestion",
    "CompareQuestion",
    "FitsQuestion",
    "FrontierQuestion",
    "LawsQuestion",
    "LearningRateQuestion",
    "OptimumQuestion",
    "PlanQuestion",
    "PredictionsQuestion",
    "RunsQuestion",
    "TrustQuestion",
    "ViewQuestion",
]

MOST_RUNS_A_PAGE = 1_000

CHOSEN = "chosen"
"""Stands for the law that forecasts best, see `analysis.choose_law`."""


class _Question(BaseModel):
    """Every parameter has a default; an unknown one is refused, so that a misspelt filter never passes for no filter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: Annotated[str | None, Field(description="Only the runs of this experiment.")] = None

    @field_validator(
        "experiment", "status", "family", "model", "limit", "next", "a", "b", "budget", "target",
        "at_model", "at_params", "at_epochs", "at_family", "on", mode="before", check_fields=False,
    )  # fmt: skip
    @classmethod
    def _empty_is_any(cls, value: object) -> object:
        """A form sends an empty text for "all"."""
        return None if value in ("", [""]) else value

    @field_validator("metric", "x", mode="after", check_fields=False)
    @classmethod
    def _column(cls, value: str) -> str:
        return ",".join(column_name(name.strip()) for name in value.split(","))

    def _command(self, *words: str, db: str) -> str:
        """A command line for a shell, with the experiment and, unless it is the default, the store."""
        parts = ["scaling", *words]
        parts += ["--experiment", self.experiment] if self.experiment else []
        parts += ["--db", db] if db != DEFAULT_URL and "://" not in db else []  # a URL may hold a password: SCALING_DB has it
        return shlex.join(parts)


class AnalysisQuestion(_Question):
    """Of which runs an analysis is made."""

    _REPEATED: ClassVar[tuple[str, ...]] = ("where", "convert", "cell")

    where: Annotated[
        tuple[str, ...], Field(description="Only runs with this value of a column, or one of several: seed=0,1; repeatable.")
    ] = ()
    convert: Annotated[
        tuple[str, ...],
        Field(description="THEIRS:OURS=FACTOR: so many core-hours on accelerator THEIRS count as one on OURS; repeatable."),
    ] = ()

    cell: Annotated[
        tuple[str, ...],
        Field(description="Columns that tell cells apart besides the known settings: what is averaged; a,b or repeated."),
    ] = ()

    @field_validator("where", "convert", "cell", "clusters", mode="before", check_fields=False)
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """A form sends its empty fields, too."""
        return tuple(text for text in value if text != "") if isinstance(value, (list, tuple)) else value

    @property
    def of_runs(self) -> dict[str, Any]:
        """Which runs, for a question about the same ones."""
        return {flag: getattr(self, flag) for flag in ("experiment", *self._REPEATED)}

    def _command(self, *words: str, db: str) -> str:
        chosen = [word for flag in self._REPEATED for value in getattr(self, flag) for word in (f"--{flag}", value)]
        return super()._command(*words, *chosen, db=db)


class FrontierQuestion(AnalysisQuestion):
    """Which metric against which measure of compute."""

    metric: Annotated[str, Field(description="A column that is better when lower; NAME_error is 1 − NAME of a share.")] = "val_loss"
    x: Annotated[str, Field(description="The column of compute: core_hours, train_flops (or flops), examples_seen …")] = (
        "core_hours"
    )

    @property
    def plain(self) -> FrontierQuestion:
        """What all questions about the frontier share, without what a view adds."""
        return FrontierQuestion(**{name: getattr(self, name) for name in FrontierQuestion.model_fields})


class ClusteredQuestion(FrontierQuestion):
    """What is resampled together for the intervals of a law."""

    _REPEATED: ClassVar[tuple[str, ...]] = (*FrontierQuestion._REPEATED, "clusters")

    clusters: Annotated[
        tuple[str, ...],
        Field(description="Columns whose values are resampled as one; the runs of a cell when left out; a,b or repeated."),
    ] = ()


FittedTo = Annotated[
    Literal["frontier", "all"] | None,
    Field(description="What a law is fitted to; when left out the frontier of a grid (sizes × epochs), else all cells."),
]


def _fit_words(law: str, on: str | None) -> list[str]:
    return [*([] if law == CHOSEN else ["--law", law]), *(["--on", on] if on else [])]


class FitsQuestion(ClusteredQuestion):
    """Which laws, fitted to which runs, how."""

    law: Annotated[
        tuple[str, ...],
        Field(description="Names of laws; when left out the one that forecasts best first, then power and power-floor."),
    ] = ()
    on: Annotated[
        Literal["frontier", "all", "both"] | None, Field(description="The compute-optimal cells, every cell, or both in turn.")
    ] = "both"
    objective: Annotated[str, Field(description="log: least squares of relative errors.")] = "log"
    level: Annotated[float, Field(ge=LEVELS[0], le=LEVELS[1], description="Nominal coverage of the intervals.")] = 0.95
    bootstrap: Annotated[int, Field(ge=100, le=20_000, description="Draws behind the intervals of a law with a floor.")] = 1000
    seed: Annotated[int, Field(description="Of those draws.")] = 0

    @property
    def axes(self) -> str | tuple[str, ...] | None:
        """`x` as `analysis.fit` takes it: one column, several for a surface, or None for those that the laws themselves name."""
        columns = tuple(self.x.split(","))
        if columns == ("core_hours",) and self.law:
            return None
        return columns[0] if len(columns) == 1 else columns


class ViewQuestion(ClusteredQuestion):
    """What `/frontier` draws: one law over the cells, on the axes that were chosen."""

    law: Annotated[str, Field(description="The law to draw, `chosen` for the one that forecasts best, or `none`.")] = CHOSEN
    on: FittedTo = None
    x_scale: Literal["log", "linear"] = "log"
    y_scale: Literal["log", "linear"] = "log"

    @property
    def fits(self) -> FitsQuestion:
        """The same question to the JSON API."""
        laws = () if self.law in ("none", CHOSEN) else (self.law,)
        return FitsQuestion(**self.of_runs, metric=self.metric, x=self.x, law=laws, on=self.on)

    def command(self, db: str) -> str:
        """The command that prints the numbers of this view."""
        asked = ["--metric", self.metric, "--x", self.x]
        if self.law == "none":
            return self.plain._command("frontier", *asked, db=db)  # which resamples nothing
        return self._command("fit", *asked, *_fit_words(self.law, self.on), db=db)


class LawsQuestion(ClusteredQuestion):
    """Which cells the laws are fitted to, side by side."""

    on: FittedTo = None

    def fits(self, laws: Iterable[str]) -> FitsQuestion:
        """The same question to the JSON API."""
        return FitsQuestion(**self.of_runs, metric=self.metric, x=self.x, law=tuple(laws), on=self.on)

    def command(self, db: str, laws: Iterable[str]) -> str:
        named = [word for law in laws for word in ("--law", law)]
        on = ["--on", self.on] if self.on else []
        return self._command("fit", "--metric", self.metric, "--x", self.x, *named, *on, db=db)


class TrustQuestion(ClusteredQuestion):
    """Which law, of which cells, to look at closely."""

    law: Annotated[str, Field(description="The law; `chosen` for the one that forecasts best.")] = CHOSEN
    on: FittedTo = None

    @property
    def fits(self) -> FitsQuestion:
        """The same question to the JSON API."""
        laws = () if self.law == CHOSEN else (self.law,)
        return FitsQuestion(**self.of_runs, metric=self.metric, x=self.x, law=laws, on=self.on)

    def command(self, db: str) -> str:
        return self._command("fit", "--metric", self.metric, "--x", self.x, *_fit_words(self.law, self.on), db=db)


class OptimumQuestion(FrontierQuestion):
    """Of which family the best size and epochs."""

    family: Annotated[str | None, Field(description="Only this model family; needed where there are several.")] = None
    level: Annotated[float, Field(ge=LEVELS[0], le=LEVELS[1], description="Nominal coverage of the intervals.")] = 0.95

    def command(self, db: str) -> str:
        family = ["--family", self.family] if self.family else []
        return self._command("frontier", "--optimum", "--metric", self.metric, "--x", self.x, *family, db=db)


class CompareQuestion(FrontierQuestion):
    """Which two sides to compare."""

    by: Annotated[str, Field(description="The column that tells the two sides apart.")] = "family"
    a: Annotated[str | None, Field(description="One side, a value of that column; may be left out when it has two.")] = None
    b: Annotated[str | None, Field(description="The other side.")] = None
    level: Annotated[float, Field(ge=LEVELS[0], le=LEVELS[1], description="Nominal coverage of the intervals.")] = 0.95

    @field_validator("by")
    @classmethod
    def _column_by(cls, value: str) -> str:
        return column_name(value)

    def command(self, db: str) -> str:
        sides = [word for name in ("a", "b") if (value := getattr(self, name)) for word in (f"--{name}", value)]
        return self._command("compare", "--by", self.by, *sides, "--metric", self.metric, "--x", self.x, db=db)


class PlanQuestion(ClusteredQuestion):
    """What the next runs should make sure of, and for how much."""

    budget: Annotated[
        float | None, Field(gt=0, description="Core-hours to spend; a tenth of what the finished runs took when left out.")
    ] = None
    target: Annotated[
        float | None,
        Field(gt=0, description="Compute at which the metric should be known; ten times the largest run when left out."),
    ] = None
    law: Annotated[
        str | None,
        Field(
            description="The law that predicts and weighs the runs; when left out, the forecast predicts, and the law that forecasts best weighs: of surfaces where sizes and examples are known, else of laws of compute."
        ),
    ] = None
    criterion: Annotated[Literal["c", "D"], Field(description="c: the prediction at the target; D: all coefficients together.")] = (
        "c"
    )
    level: Annotated[float, Field(ge=LEVELS[0], le=LEVELS[1], description="Nominal coverage of the intervals.")] = 0.95

    @field_validator("law", mode="before")
    @classmethod
    def _empty_is_the_best(cls, value: object) -> object:
        return None if value == "" else value

    def command(self, db: str, *, budget: float, target: float) -> str:
        law = ["--law", self.law] if self.law else []
        criterion = ["--criterion", self.criterion] if self.criterion != "c" else []
        asked = ["--budget", f"{budget:g}", "--target", f"{target:g}", "--metric", self.metric, "--x", self.x]
        return self._command("plan", *asked, *law, *criterion, db=db)


class PredictionsQuestion(_Question):
    """Of which experiment the registered predictions."""


class LearningRateQuestion(AnalysisQuestion):
    """Of which metric the best learning rate is the minimum."""

    metric: Annotated[str, Field(description="A column that is better when lower.")] = "val_loss"
    at_model: Annotated[str | None, Field(description="Predict for this model of the trend, at `at_epochs`.")] = None
    at_params: Annotated[float | None, Field(gt=0, description="Predict for a model of so many parameters, at `at_epochs`.")] = None
    at_epochs: Annotated[float | None, Field(gt=0, description="The epoch budget to predict for.")] = None
    at_family: Annotated[str | None, Field(description="With `at_params`: of this family, where there are several.")] = None

    @property
    def plain(self) -> LearningRateQuestion:
        """The question of the trend itself."""
        return self.model_copy(update=dict.fromkeys(("at_model", "at_params", "at_epochs", "at_family")))

    @property
    def asked_cell(self) -> dict[str, Any]:
        """What is asked of one cell, as `LearningRateTrend.predict_cell` takes it; empty when nothing is."""
        asked = {name: getattr(self, f"at_{name}") for name in ("model", "params", "epochs", "family")}
        return asked if any(value is not None for value in asked.values()) else {}

    def command(self, db: str) -> str:
        asked = [word for name, value in self.asked_cell.items() if value is not None for word in (f"--at-{name}", _word(value))]
        return self._command("lr", "--metric", self.metric, *asked, db=db)


class RunsQuestion(_Question):
    """Which runs, and which page of them."""

    status: Annotated[tuple[str, ...] | None, Field(description="Only runs in one of these states.")] = None
    family: Annotated[str | None, Field(description="Only runs of this model family.")] = None
    model: Annotated[str | None, Field(description="Only runs of this model.")] = None
    limit: Annotated[int | None, Field(ge=1, le=MOST_RUNS_A_PAGE, description="Runs a page; 100 when left out.")] = None
    next: Annotated[str | None, Field(description="The token `next` of the page before.")] = None


def _word(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
