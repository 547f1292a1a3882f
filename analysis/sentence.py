"""`answer_of`: what some runs say, in a sentence that a reader can act on.

The words and numbers are those of *the law* (`analysis.choice`) and of its forecast. The command, the pages, the report and the JSON
show the same sentence; the coefficients and diagnostics behind it are in `scaling fit`.

The sentence says no more than the lights allow. Where the runs do not identify the law, no exponent is named. Where the law does not
forecast well, no number beyond the runs is given. A forecast never lies further beyond the runs than half of their own range of log
compute.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.diagnostics.extrapolation import SHARE_OF_RANGE
from analysis.interval import Interval
from analysis.laws import law_named
from analysis.numbers import finite, records
from analysis.pareto import Frontier, frontier
from analysis.reading.prices import MONEY, currency_of, unit_of
from scaling.errors import ScalingError, UsageError
from scaling.outcomes import FitStatus
from scaling.rounding import as_factor, significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.laws import Law

__all__ = ["Answer", "Forecast", "answer_of", "next_commands", "times_at"]

TIMES = {10.0: "Ten times", 5.0: "Five times", 3.0: "Three times", 2.0: "Twice"}
"""How many times the largest compute a forecast is asked for: the first of these that `SHARE_OF_RANGE` of the diagnostics allows."""

_COMPUTE = ("core_hours", "allocated_core_hours", "train_flops")


@dataclass(frozen=True)
class Forecast:
    """Holds the metric at a compute beyond the runs.

    at: in the unit of x. times: how many times the largest compute of the runs that is. value: of the mean, with its interval.
    """

    at: float
    times: float
    value: Interval

    def to_dict(self) -> dict[str, object]:
        return {"at": self.at, "times": self.times, **self.value.to_dict()}


@dataclass(frozen=True, eq=False)
class Answer:
    """Holds what a law says, in words and as numbers.

    law: the fit that the words are about. sentences: they themselves.
    forecast: None where the runs do not allow one. frontier: the compute-optimal cells; None for a surface.
    spent: core-hours of all runs of the table; NaN where it does not say.
    """

    law: Fit
    sentences: tuple[str, ...]
    forecast: Forecast | None
    frontier: Frontier | None
    spent: float

    @property
    def sentence(self) -> str:
        """Return the answer in words."""
        return " ".join(self.sentences)

    @property
    def spent_cost(self) -> tuple[float, str] | None:
        """Return what the core-hours of all runs of the table cost, and the currency; None where some have no price."""
        table = self.law.table
        currency = None if table is None else currency_of(table)
        if table is None or currency is None or "core_hours" not in table:
            return None
        counted = table["core_hours"].astype(float) > 0
        cost = table["cost"].astype(float)[counted]
        return None if cost.isna().any() else (float(cost.sum()), currency)

    @property
    def best(self) -> dict[str, object] | None:
        """Return the cell of lowest metric, as `Frontier.best` lists it; None for a surface."""
        return None if self.frontier is None else records(self.frontier.best().tail(1))[0]

    def light_lines(self) -> list[str]:
        """Write both lights in a line each, with what the back-test found."""
        lights, law = self.law.lights, self.law
        about = ", ".join(law.status_about)
        if lights.identified.ok:
            seen = f"by {law.runs_words}{f'; {about} narrowly' if about else ''}"
        else:
            seen = f"{law.status.value}{f': {about}' if about else ''}"
        told = lights.forecasts_well.reason
        if law.forecast_error is not None and "off by" not in told:
            told = f"{told} In the back-test it was off by {as_factor(law.forecast_error)} (one sd)."
        return [
            f"{lights.identified.name} {lights.identified.mark}  {seen}",
            f"forecasts well {lights.forecasts_well.mark}  {told}",
        ]

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the codes of what else is worth knowing, which `scaling fit` explains."""
        return tuple(dict.fromkeys(found.code.value for found in self.law.further_diagnostics))

    def to_dict(self) -> dict[str, object]:
        """Return the answer as JSON holds it, without `schema_version`.

        It is `{"sentence", "law", "on", "metric", "x", "level", "lights", "forecast", "best", "codes", "spent_core_hours", "spent_cost", "currency"}`. The
        forecast is None or `{"at", "times", "value", "low", "high"}`.
        """
        law = self.law
        return {
            "sentence": self.sentence,
            "law": law.law,
            "on": law.on,
            "metric": law.metric,
            "x": law.x if isinstance(law.x, str) else list(law.x),
            "level": law.precision.level,
            "lights": law.lights.to_dict(),
            "forecast": None if self.forecast is None else self.forecast.to_dict(),
            "best": self.best,
            "codes": list(self.codes),
            "spent_core_hours": finite(self.spent),
            "spent_cost": None if (paid := self.spent_cost) is None else paid[0],
            "currency": None if paid is None else paid[1],
        }


def answer_of(law: Fit) -> Answer:
    """Say what a fit of `analysis.choose_law` says. It fits nothing anew; the frontier of the runs is found once more, in milliseconds.

    Raises `UsageError` for an average of laws.
    """
    if law.members is not None:
        raise UsageError(
            "an average of laws has no one exponent to say", hint="`analysis.answer(runs)` chooses the law of the runs"
        )
    found = _frontier_of(law)
    forecast, why_not = _forecast_of(law)
    sentences = tuple(filter(None, (_fall(law), _beyond(law, forecast, why_not), _best_so_far(found))))
    spent = law.table["core_hours"].astype(float).sum() if law.table is not None and "core_hours" in law.table else math.nan
    return Answer(law, sentences, forecast, found, float(spent))


def next_commands(said: Answer, options: Sequence[str] = ()) -> list[tuple[str, str]]:
    """List commands that go on from an answer, each as (command, what it shows), with numbers that fit these runs.

    options: that choose the same runs again: `--db`, `--experiment`, `--data` …
    """
    law = said.law
    asked = [*(["--metric", law.metric] if law.metric != "val_loss" else ())]
    asked += ["--x", ",".join(law.axes)] if law.axes != ("core_hours",) else []
    asked += options
    lines = []
    if said.forecast is not None:
        at = f"{said.forecast.at:g}"
        lines.append((["predict", "--at", at, *asked], f"{law.metric} there, of the mean and of one run"))
        paid = said.spent_cost if set(law.axes) & {*MONEY} else None
        again = f"{_two_digits(said.spent):g}" if paid is None else f"{_two_digits(paid[0]):g} {paid[1]}"
        if said.spent > 0 and _has_cells(said):
            lines.append(
                (
                    ["plan", "--budget", again, "--target", at, *asked],
                    "the runs that narrow that most, for as much again",
                )
            )
    else:
        lines.append((["fit", *asked], "what stands in the way, and what to do"))
    return [(shlex.join(["scaling", *words]), what) for words, what in lines]


def _has_cells(said: Answer) -> bool:
    """Say whether `scaling plan` can price cells like those that were run."""
    table = said.law.table
    return table is not None and all(name in table and table[name].notna().any() for name in ("model", "epochs"))


def _frontier_of(law: Fit) -> Frontier | None:
    if len(law.axes) > 1 or law.table is None:
        return None
    try:
        return frontier(law.table, metric=law.metric, x=law.axes[0], cell=law.cell)
    except ScalingError:  # a curve of checkpoints is no frontier of runs
        return None


def _fall(law: Fit) -> str:
    """Say how the metric falls, where the runs determine that."""
    x = " and ".join(law.axes)
    if law.status == FitStatus.RISES:
        return f"{law.metric} rises with {x}: are these runs comparable?"
    identified = law.lights.identified.ok
    if identified is False:
        why = re.split("[:;]", law.status.advice.removesuffix("."))[0]
        return f"How {law.metric} falls with {x} is not determined by these runs: {why[:1].lower()}{why[1:]}."
    form, ends, level = law_named(law.law), law.interval(), law.level_words
    powers = []
    for place, (name, axes) in enumerate(_exponents_of(form).items()):
        value, low, high = (-float(end) for end in (law.coefficients[name], ends["high"][name], ends["low"][name]))
        said = f"{level}: " if not place and not form.floor else ""
        inputs = " and ".join(f"{law.axes[axis]}^{significant(value, 3)}" for axis in axes)
        powers.append(f"{inputs} ({said}{significant(low, 3)} … {significant(high, 3)})")
    falls = f"as {' and '.join(powers)}{_where(law.law, law.axes[0])}"
    if form.floor:
        floor = Interval(law.coefficients["E"], float(ends["low"]["E"]), float(ends["high"]["E"]))
        numbers = floor.words().replace("(", f"({level}: ")
        falls = f"towards a floor of {numbers}; what is above it falls {falls}"
    return f"{law.metric} falls {falls}{'; barely identified' if identified is None else ''}."


def _exponents_of(form: Law) -> dict[str, list[int]]:
    """Return the exponents by which a law falls, name → the inputs it is the power of; of a broken law the one beyond the runs."""
    shapes = [shape for shape in form.shapes if shape.kind == "exponent"]
    if not form.is_surface:
        return {shape.name: [shape.axis] for shape in shapes[-1:]}
    named = {shape.name: {shape.axis} for shape in shapes if shape.bounds is None}  # others are powers of what repeats add
    for term in form.terms:
        for name in named.keys() & term.exponents.keys():
            named[name].add(term.exponents[name])
    return {name: sorted(axes) for name, axes in named.items()}


def _where(law: str, x: str) -> str:
    """Say where the exponent of a law that bends holds; empty for other laws."""
    return {"broken": " beyond the break", "saturating": f" at large {x}", "hill": f" at large {x}"}.get(law, "")


def _forecast_of(law: Fit) -> tuple[Forecast | None, str]:
    """Return the forecast, or None and the reason in words; no words where nobody would expect one."""
    if len(law.axes) > 1 or law.status == FitStatus.RISES:
        return None, ""
    if law.lights.forecasts_well.ok is False:
        return None, "The law does not forecast well, so no number beyond these runs is given."
    (low, high), x = law.x_range, law.axes[0]
    times = next((times for times in TIMES if times <= (high / low) ** SHARE_OF_RANGE * (1 + 1e-9)), None)
    if times is None:
        return None, f"These runs span a factor of {significant(high / low, 2)} of {x}, too little to look beyond them."
    at = _two_digits(times * high)
    row = (law.forecast or law).predict([at]).iloc[0]
    value = Interval(float(row["mean"]), float(row["low"]), float(row["high"]))
    return Forecast(at, times, value), ""


def times_at(at: float, largest: float) -> str:
    """Write how many times the largest compute another one is, as the sentence does where it is that of its forecast: `about five times`."""
    asked = next((words for times, words in TIMES.items() if math.isclose(_two_digits(times * largest), at)), "")
    return f"about {asked.lower()}" if asked else f"{significant(at / largest, 2)} times"


def _two_digits(value: float) -> float:
    """Round to two digits, downwards, so that the number is no further beyond the runs."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / unit + 1e-9) * unit:.2g}")


def _beyond(law: Fit, forecast: Forecast | None, why_not: str) -> str:
    if forecast is None:
        return why_not
    x = law.axes[0]
    what, unit = "compute" if x in _COMPUTE else f"largest {x}", unit_of(x, law.currency)
    tested = "" if law.lights.forecasts_well.ok else ", by forecasts that are not tested"
    return f"{TIMES[forecast.times]} the {what}, {forecast.at:g} {unit}, would give {forecast.value.words()}{tested}."


def _best_so_far(found: Frontier | None) -> str:
    if found is None:
        return ""
    cell = records(found.best().tail(1))[0]
    names = [cell.get("family")] if "family" in found.points and found.points["family"].nunique() > 1 else []
    name = " ".join(str(part) for part in (*names, cell.get("model")) if part)
    epochs = cell.get("epochs")
    if epochs is not None:
        name += f"{' at ' if name else ''}{epochs:g} epoch{'' if epochs == 1 else 's'}"
    reached = f"{significant(cell[found.metric])} at {significant(cell[f'{found.x}_from'], 2)} {unit_of(found.x, found.currency)}"
    return f"Best so far: {name}{', ' if name else ''}{reached}."
