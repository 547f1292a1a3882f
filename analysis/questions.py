"""What can be asked of a table of runs: each parameter of each question, told once.

A question is a frozen dataclass. A field has its type, its default and an `Asked`: what it means, how a form asks for it, what it may
be. Command line, pages and HTTP API are made from that: `scaling.cli.runs_input` makes options, `api.asking` query parameters, the
macro `form` fields. This module loads nothing, so that `scaling --help` may import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args, get_type_hints

__all__ = [
    "CHOSEN",
    "LEVELS",
    "WHICH_RUNS",
    "AnalysisQuestion",
    "Asked",
    "BesideQuestion",
    "ClusteredQuestion",
    "CompareQuestion",
    "DrawnQuestion",
    "FitsQuestion",
    "FrontierQuestion",
    "HalvingQuestion",
    "LawsQuestion",
    "LearningRateQuestion",
    "OptimumQuestion",
    "OutlookQuestion",
    "Parameter",
    "PlanQuestion",
    "PredictQuestion",
    "Question",
    "ReportQuestion",
    "TransferQuestion",
    "TrustQuestion",
    "ViewQuestion",
]

_Asking = TypeVar("_Asking", bound="Question")

CHOSEN = "chosen"
"""Stands for the law that forecasts best, see `analysis.choose_law`."""

WHICH_RUNS = ("where", "price", "convert", "cell", "clusters", "experiment")
"""The parameters that say which runs a question is about and what counts as one of them: the same for all questions."""

LEVELS = (0.5, 0.999)
"""The least and the largest nominal coverage of an interval.

Below, an interval says less than the value alone; above, it depends on a tail that few runs show."""


@dataclass(frozen=True)
class Asked:
    """Describes one parameter.

    help: a sentence or two. label: of its field in a form; it may name another parameter, `{x}`. any: what a form calls "not chosen".
    offered: what a form offers, (value, text), where that is always the same; else the page finds it.
    least, above, most: its limits; above: it is larger than that.
    is_column: whether it names a column, or several with commas between them.
    told: whether a command names it at its default, too. is_option: whether the command has it.
    shape: what its option takes, where its name does not say.
    more: what a command adds, which has no form that offers choices.
    """

    help: str
    label: str = ""
    any: str | None = None
    offered: tuple[str | tuple[str, str], ...] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    is_column: bool = False
    told: bool = False
    is_option: bool = True
    shape: str | None = None
    more: str = ""


class Parameter(NamedTuple):
    """Holds one field of a question: its name, its type without the `Asked`, that, and its default."""

    name: str
    type: Any
    asked: Asked
    default: Any

    @property
    def is_text(self) -> bool:
        """Say whether it takes any text."""
        return str in (self.type, *get_args(self.type))


@dataclass(frozen=True)
class Question:
    """Describes a question about a table of runs, with a default for every parameter.

    COMMAND: the words of the command that answers it.
    FORM: the parameters that a form asks for, in order; a command names them in this order, too.
    """

    COMMAND: ClassVar[tuple[str, ...]] = ()
    FORM: ClassVar[tuple[str, ...]] = ("experiment",)

    experiment: Annotated[str | None, Asked("Only the runs of this experiment.", "Experiment", any="all")] = None

    @classmethod
    @cache
    def parameters(cls) -> dict[str, Parameter]:
        """List the parameters of the question, by name."""
        hints = {name: get_args(hint) for name, hint in get_type_hints(cls, include_extras=True).items()}
        return {each.name: Parameter(each.name, hints[each.name][0], hints[each.name][1], each.default) for each in fields(cls)}

    @classmethod
    def in_order(cls) -> list[str]:
        """List the parameters of the question as a command has them: those of the form first, those that say which runs last."""
        names = dict.fromkeys((*cls.FORM, *cls.parameters()))
        return sorted(names, key=lambda name: WHICH_RUNS.index(name) if name in WHICH_RUNS else -1)

    @property
    def changed(self) -> dict[str, Any]:
        """Return the parameters that are not at their default."""
        return {name: value for name, each in self.parameters().items() if (value := getattr(self, name)) != each.default}

    @property
    def settings(self) -> dict[str, Any]:
        """Return the parameters that the function of the analysis takes: all but those that say which runs."""
        return {name: getattr(self, name) for name in self.parameters() if name not in WHICH_RUNS}

    def label(self, name: str) -> str:
        """Name a parameter in a form."""
        return self.parameters()[name].asked.label.format(**vars(self))

    def narrowed(self, kind: type[_Asking]) -> _Asking:
        """Make a question of fewer parameters about the same runs."""
        return kind(**{name: getattr(self, name) for name in kind.parameters()})

    def words(self, **more: object) -> list[str]:
        """Write the command that answers the question, word by word, without the store.

        more: parameters for which it shall have other values.
        """
        words = ["scaling", *self.COMMAND]
        for name in self.in_order():
            each, value = self.parameters()[name], more.get(name, getattr(self, name))
            if each.asked.is_option and value is not None and (value != each.default or each.asked.told or name in more):
                values = value if isinstance(value, tuple) else (value,)
                words += [
                    word
                    for one in values
                    for word in (f"--{name.replace('_', '-')}", f"{one:g}" if isinstance(one, float) else str(one))
                ]
        return words


_METRIC = "A column that is better when lower; NAME_error is 1 − NAME of a share; finetune_NAME is of fine-tuned runs."
_SURFACE = "Or one for each input of a surface: params,examples_seen."
_PARENTS = "of the parent run; with --data, a column of the table."
_X = "The column of compute: core_hours, train_flops (or flops), examples_seen, cost …"
Level = Annotated[float, Asked("Nominal coverage of the intervals.", more="0.5 … 0.999.", least=LEVELS[0], most=LEVELS[1])]
Objective = Annotated[str, Asked("log: least squares of relative errors.", more="huber-log (robust to outliers), relative or mse.")]
Reference = Annotated[
    Literal["published", "digitised", "all"] | None,
    Asked(
        "Results of others beside the frontier; they enter no fit.",
        "Beside it",
        any="no one else's",
        offered=(("published", "published results"), ("digitised", "the NFNet study's figure 1"), ("all", "both")),
        is_option=False,
    ),
]
Pin = Annotated[
    tuple[str, ...],
    Asked("Hold a coefficient of the named law at a number: E=1.69; repeatable, or with commas between.", shape="LETTER=NUMBER"),
]
Tie = Annotated[
    tuple[str, ...],
    Asked("Let coefficients of the named law share one number: alpha=beta; repeatable.", shape="LETTER=LETTER"),
]
FittedTo = Annotated[
    Literal["frontier", "all"] | None,
    Asked(
        "What a law is fitted to; when left out the frontier of a grid (sizes × epochs), else all cells.",
        "Fitted to",
        offered=(("frontier", "the frontier"), ("all", "all cells")),
    ),
]


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


@dataclass(frozen=True)
class FrontierQuestion(AnalysisQuestion):
    """Asks for the frontier of a metric against a measure of compute."""

    COMMAND: ClassVar[tuple[str, ...]] = ("frontier",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x")

    metric: Annotated[str, Asked(_METRIC, "Metric", is_column=True, told=True)] = "val_loss"
    x: Annotated[str, Asked(_X, "Compute", is_column=True, told=True)] = "core_hours"

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
    x: Annotated[str, Asked(_X, is_column=True, told=True, more=_SURFACE)] = "core_hours"
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


@dataclass(frozen=True)
class PredictQuestion(DrawnQuestion):
    """Asks for the metric at budgets that may lie beyond the data."""

    COMMAND: ClassVar[tuple[str, ...]] = ("predict",)
    FORM: ClassVar[tuple[str, ...]] = ("at", "law", "on", "metric", "x", "objective")

    at: Annotated[
        tuple[str, ...],
        Asked("Where to predict, in the unit of `x`; repeatable. For a surface a number for each input: 1e9,2e10.", shape="X"),
    ] = ()
    law: Annotated[str, Asked("A law, or auto: the forecast, of the laws that did best in the back-test.")] = "auto"
    on: FittedTo = None
    x: Annotated[str, Asked(_X, is_column=True, more=f"{_SURFACE} Default: what the law is of.")] = "core_hours"
    objective: Objective = "log"
    pin: Pin = ()
    tie: Tie = ()


@dataclass(frozen=True)
class ReportQuestion(DrawnQuestion):
    """Asks for all that a table of runs says."""

    COMMAND: ClassVar[tuple[str, ...]] = ("report",)
    FORM: ClassVar[tuple[str, ...]] = ("metric", "x", "law", "on", "title")

    law: Annotated[
        str | None, Asked("The law to report on, or auto; the others are shown beside it. Default: the one that forecasts best.")
    ] = None
    on: FittedTo = None
    title: Annotated[str, Asked("Of the report; the name of the data where left out.")] = ""


@dataclass(frozen=True)
class TransferQuestion(AnalysisQuestion):
    """Asks what pre-training buys downstream, and which checkpoint to fine-tune."""

    COMMAND: ClassVar[tuple[str, ...]] = ("transfer",)
    FORM: ClassVar[tuple[str, ...]] = ("downstream", "upstream", "x", "law")

    downstream: Annotated[str, Asked("Column of the fine-tuned runs, better when lower.", is_column=True)] = "val_loss"
    upstream: Annotated[str, Asked(f"Pre-training metric, better when lower: {_PARENTS}", is_column=True)] = "val_loss"
    x: Annotated[str, Asked(f"What pre-training cost: {_PARENTS}", is_column=True)] = "core_hours"
    law: Annotated[str, Asked("Law of the downstream metric against `x`.")] = "power"
    level: Level = 0.95


@dataclass(frozen=True)
class LawsQuestion(ClusteredQuestion):
    """Asks for all laws side by side, fitted to the chosen cells."""

    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x", "on")

    on: FittedTo = None


@dataclass(frozen=True)
class TrustQuestion(ClusteredQuestion):
    """Asks for one law, of the chosen cells, to look at closely."""

    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "x", "law", "on")

    law: Annotated[str, Asked("The law; `chosen` for the one that forecasts best.", "Law")] = CHOSEN
    on: FittedTo = None


@dataclass(frozen=True)
class ViewQuestion(TrustQuestion):
    """Asks for what `/frontier` draws: one law over the cells, on the axes that were chosen."""

    FORM: ClassVar[tuple[str, ...]] = (*TrustQuestion.FORM, "reference", "x_scale", "y_scale")

    law: Annotated[str, Asked("The law to draw, `chosen` for the one that forecasts best, or `none`.", "Law")] = CHOSEN
    reference: Reference = None
    x_scale: Annotated[Literal["log", "linear"], Asked("", "x axis", offered=("log", "linear"), is_option=False)] = "log"
    y_scale: Annotated[Literal["log", "linear"], Asked("", "y axis", offered=("log", "linear"), is_option=False)] = "log"
    at: Annotated[
        float | None,
        Asked(
            "The target: compute, in the unit of `x`, of which the page says what to expect.",
            "Target ({x})",
            above=0,
            is_option=False,
        ),
    ] = None
    focus: Annotated[str | None, Asked("The model that the chart shows before all others.", "Focus", is_option=False)] = None


@dataclass(frozen=True)
class OutlookQuestion(TrustQuestion):
    """Asks what to expect at a compute: of a law, with the best model there."""

    COMMAND: ClassVar[tuple[str, ...]] = ("predict",)

    at: Annotated[
        float | None,
        Asked("Compute, in the unit of `x`; when left out, where the forecast of the law is.", "Target ({x})", above=0),
    ] = None


@dataclass(frozen=True)
class HalvingQuestion(ClusteredQuestion):
    """Asks where the interval of a forecast comes from, and what halves it for least."""

    COMMAND: ClassVar[tuple[str, ...]] = ("plan", "--halve")
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "target", "metric", "x")

    target: Annotated[
        float | None,
        Asked("Compute at which the metric should be known; ten times the largest run when left out.", "Target ({x})", above=0),
    ] = None


@dataclass(frozen=True)
class OptimumQuestion(FrontierQuestion):
    """Asks for the best size and epochs of a family."""

    COMMAND: ClassVar[tuple[str, ...]] = ("frontier", "--optimum")
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "family", "metric", "x", "serve", "finetune", "target_loss", "budget")

    family: Annotated[str | None, Asked("Only this model family; needed where there are several.", "Family", any="all")] = None
    law: Annotated[
        str | None,
        Asked("The surface; when left out chinchilla or data-constrained, whichever forecasts better.", more="With --optimum."),
    ] = None
    pin: Pin = ()
    tie: Tie = ()
    level: Level = 0.95
    serve: Annotated[
        float,
        Asked("Examples that the model will be asked about in its life: the size that costs least in all.", "Serve", least=0),
    ] = 0.0
    finetune: Annotated[
        float, Asked("Examples that it will be fine-tuned on, over all releases; counted with --serve.", "Fine-tune on", least=0)
    ] = 0.0
    target_loss: Annotated[
        float | None,
        Asked(
            "The metric that it has to reach; when left out, what compute-optimal training reaches at the largest compute.",
            "Wanted {metric}",
            above=0,
        ),
    ] = None
    budget: Annotated[
        float | None,
        Asked("Or what training, fine-tuning and serving may take together, in the unit of `x`.", "or in all ({x})", above=0),
    ] = None
    serve_share: Annotated[
        float, Asked("What serving an example costs, as a share of training on it: 2 of 6 FLOP a parameter.", above=0)
    ] = 1 / 3


@dataclass(frozen=True)
class CompareQuestion(FrontierQuestion):
    """Asks for a comparison of two sides."""

    COMMAND: ClassVar[tuple[str, ...]] = ("compare",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "by", "a", "b", "metric", "x")

    by: Annotated[str, Asked("The column that tells the two sides apart.", "Sides differ in", is_column=True, told=True)] = "family"
    a: Annotated[str | None, Asked("One side, a value of that column; may be left out when it has two.", "One side", any="–")] = (
        None
    )
    b: Annotated[str | None, Asked("The other side.", "The other", any="–")] = None
    level: Level = 0.95


@dataclass(frozen=True)
class PlanQuestion(ClusteredQuestion):
    """Asks for the next runs: what they should make sure of, and for how much."""

    COMMAND: ClassVar[tuple[str, ...]] = ("plan",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "budget", "target", "metric", "x", "law", "criterion")

    budget: Annotated[
        str | None,
        Asked("Core-hours to spend, or money, 500 USD; a tenth of what the finished runs took when left out.", "Budget"),
    ] = None
    target: Annotated[
        float | None,
        Asked("Compute at which the metric should be known; ten times the largest run when left out.", "Target ({x})", above=0),
    ] = None
    law: Annotated[
        str | None,
        Asked(
            "The law that predicts and weighs the runs; when left out, the forecast predicts, and the law that forecasts best weighs: of surfaces where sizes and examples are known, else of laws of compute.",
            "Law",
            any="the best known",
        ),
    ] = None
    criterion: Annotated[
        Literal["c", "D"],
        Asked(
            "c: the prediction at the target; D: all coefficients together.",
            "To be sure of",
            offered=(("c", "the prediction"), ("D", "the coefficients")),
        ),
    ] = "c"
    level: Level = 0.95


@dataclass(frozen=True)
class LearningRateQuestion(AnalysisQuestion):
    """Asks for the best learning rate by a metric, and for the rate of a cell that was never run."""

    COMMAND: ClassVar[tuple[str, ...]] = ("lr",)
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "metric", "at_model", "at_params", "at_epochs")

    metric: Annotated[
        str, Asked("A column that is better when lower; finetune_NAME is of fine-tuned runs.", "Metric", is_column=True, told=True)
    ] = "val_loss"
    at_model: Annotated[str | None, Asked("Predict for this model of the trend, at `at_epochs`.", "Predict for model", any="–")] = (
        None
    )
    at_params: Annotated[
        float | None, Asked("Predict for a model of so many parameters, at `at_epochs`.", "or for parameters", above=0)
    ] = None
    at_epochs: Annotated[float | None, Asked("The epoch budget to predict for.", "at epochs", above=0)] = None
    at_family: Annotated[str | None, Asked("With `at_params`: of this family, where there are several.")] = None
    level: Level = 0.95

    @property
    def asked_cell(self) -> dict[str, Any]:
        """Return what is asked of one cell, as `LearningRateTrend.predict_cell` takes it; empty when nothing is."""
        asked = {name: getattr(self, f"at_{name}") for name in ("model", "params", "epochs", "family")}
        return asked if any(value is not None for value in asked.values()) else {}
