"""What the commands of the analysis print for people, as rich tables and lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scaling.outcomes import FitStatus

if TYPE_CHECKING:
    from analysis import Fit, Frontier, LearningRateTrend
    from analysis.selection import Excluded

__all__ = ["print_excluded", "print_fit", "print_frontier", "print_points", "print_trend"]

_IDS_SHOWN = 3


def print_fit(console: Console, fit: Fit) -> None:
    """Formula with numbers, coefficients with intervals, status, quality, runs used."""
    from analysis.laws import law_named
    from analysis.numbers import as_factor, significant

    console.print(Text.assemble((f"{fit.law} law, {fit.on_words}", "bold"), "   ", (fit.equation(), "bold cyan")))
    meanings, interval = law_named(fit.law).meanings, fit.interval()
    table = _table("", "value", f"{fit.level_words} low", "high", "")
    for name, value in fit.params.items():
        low, high = interval["low"][name], interval["high"][name]
        table.add_row(Text(name, "bold"), significant(value), significant(low), significant(high), Text(meanings[name], "dim"))
    table.columns[-1].justify = "left"
    console.print(table)
    _print_status(console, fit.status, fit.advice)
    _line(
        console,
        f"R² {fit.r_squared:.4f} (log–log), residuals {as_factor(fit.residual_std)} (one sd); "
        f"{_count(fit.runs_used, 'run')} in {_count(fit.cells, 'cell')}, {fit.excluded_words}",
    )
    console.print()


def print_frontier(console: Console, frontier: Frontier) -> None:
    """Best model and best epochs against compute."""
    from analysis.numbers import significant

    steps = frontier.best()
    start = f"{frontier.x}_from"
    console.print(Text("compute-optimal: the best model and epochs from each compute on", "bold"))
    named = [name for name in ("model", "params", "epochs", "learning_rate", "seeds", frontier.metric) if name in steps]
    table = _table(f"from {frontier.x}", *named)
    for row in steps.to_dict("records"):
        table.add_row(significant(row[start]), *(_cell(name, row[name], frontier.metric) for name in named))
    console.print(table)
    console.print()


def print_points(console: Console, frontier: Frontier) -> None:
    """Every cell, in order of compute; ● marks the compute-optimal ones."""
    from analysis.numbers import significant
    from analysis.selection import excluded_words

    points = frontier.points
    named = [name for name in ("model", "epochs", "learning_rate", "seeds") if name in points]
    table = _table("", frontier.x, *named, frontier.metric, "min", "max")
    for row in points.to_dict("records"):
        spread = (significant(row[f"{frontier.metric}_{end}"]) for end in ("min", "max"))
        cells = (_cell(name, row[name], frontier.metric) for name in (*named, frontier.metric))
        mark, style = ("●", None) if row["on_frontier"] else ("", "dim")
        table.add_row(mark, significant(row[frontier.x]), *cells, *spread, style=style)
    console.print(table)
    used = f"{_count(len(frontier.runs), 'run')} in {_count(len(points), 'cell')}"
    _line(console, f"● compute-optimal; {used}, {excluded_words(frontier.excluded)}")
    console.print()


def print_trend(console: Console, trend: LearningRateTrend) -> None:
    """The law of the best learning rate, then each cell's optimum beside the best rate tried."""
    from analysis.learning_rate import FORMULA
    from analysis.numbers import as_factor, significant
    from analysis.selection import excluded_words

    console.print(Text(FORMULA, "bold cyan"))
    percent = f"{100 * trend.level:g} %"
    table = _table("", "value", f"{percent} low", "high", "")
    table.columns[-1].justify = "left"
    ends = significant(trend.slope_low), significant(trend.slope_high)
    table.add_row(Text("s", "bold"), significant(trend.slope), *ends, Text("twice the epochs: best rate / 2^s", "dim"))
    for row in trend.models.to_dict("records"):
        ends = significant(row["c_low"]), significant(row["c_high"])
        meaning = Text(f"best rate of {row['model'] or 'the model'} at one epoch", "dim")
        table.add_row(Text("c", "bold"), significant(row["c"]), *ends, meaning)
    console.print(table)
    _print_status(console, trend.status, trend.advice)
    _line(
        console,
        f"residuals {as_factor(trend.residual_std)} (one sd); "
        f"{_count(trend.runs_used, 'run')} in {_count(len(trend.optima), 'cell')}, {excluded_words(trend.excluded)}",
    )
    console.print()
    table = _table("model", "epochs", "best learning rate", f"{percent} low", "high", "best tried", "of", "")
    for row in trend.optima.to_dict("records"):
        ends = significant(row["low"]), significant(row["high"])
        edge = Text(f"the {row['at_edge']} tried: the best may lie beyond", "yellow") if row["at_edge"] else ""
        tried = f"{row['best_tried']:g}", str(row["rates"])
        table.add_row(row["model"], f"{row['epochs']:g}", significant(row["learning_rate"]), *ends, *tried, edge)
    console.print(table)
    console.print()


def print_excluded(console: Console, excluded: Iterable[Excluded]) -> None:
    """A line for each kind of reason: how many, and the first ids."""
    by_kind: dict[str, list[str]] = {}
    for entry in excluded:
        by_kind.setdefault(entry.kind, []).append(entry.id)
    if not by_kind:
        return
    console.print(Text("left out", "bold"))
    for kind, ids in by_kind.items():
        more = ", …" if len(ids) > _IDS_SHOWN else ""
        _line(console, f"{len(ids)} {kind}: {', '.join(ids[:_IDS_SHOWN])}{more}")


def _print_status(console: Console, status: FitStatus, advice: str) -> None:
    style = "green" if status == FitStatus.OK else "yellow"
    console.print(Text.assemble("  ", (status.value, style), f"  {advice}"), soft_wrap=True)


def _line(console: Console, text: str) -> None:
    console.print(Text(f"  {text}"), soft_wrap=True)


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in ("model", "family") else "right", no_wrap=head != "")
    return table


def _cell(name: str, value: Any, metric: str) -> str:
    from analysis.numbers import significant

    if name == "params":
        return f"{value:,.0f}"
    if name == metric:
        return significant(value)
    return value if isinstance(value, str) else f"{value:g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
