"""What the commands of the analysis print for people, as rich tables and lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from scaling.cli.tables import line as _line
from scaling.cli.tables import table as _table
from scaling.outcomes import FitStatus
from scaling.rounding import amount, as_factor, significant

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis import Fit, Frontier, LearningRateTrend
    from analysis.backtest.backtest import Backtest
    from analysis.diagnostics import Diagnostic
    from analysis.fitting.lights import Lights
    from analysis.selection import Excluded

__all__ = [
    "print_diagnostics",
    "print_excluded",
    "print_fit",
    "print_frontier",
    "print_lights",
    "print_notes",
    "print_plain",
    "print_points",
    "print_trend",
]

_IDS_SHOWN = 3


def print_fit(console: Console, fit: Fit) -> None:
    """Print the formula with numbers, coefficients with intervals, both lights, quality, runs used."""
    console.print(Text.assemble((f"{fit.name_words}, {fit.on_words}", "bold"), "   ", (fit.equation(), "bold cyan")))
    if fit.members is None:
        _print_coefficients(console, fit)
    print_lights(console, fit.lights)
    _line(
        console,
        f"R² {fit.r_squared:.4f} (log–log), {fit.residual_words}; {fit.runs_words}, {fit.excluded_words}",
    )
    print_notes(console, fit.notes)
    if fit.backtest is not None and fit.tested is not None and not fit.chosen:
        _print_backtest(console, fit.tested)
    print_diagnostics(console, fit.further_diagnostics)
    console.print()


def print_diagnostics(console: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """Print a line for each thing that is wrong with the runs or the fit: its code, what was seen and what to do."""
    for diagnostic in diagnostics:
        console.print(
            Text.assemble("  ", (diagnostic.code.value, "yellow"), f"  {diagnostic.message}. {diagnostic.advice}"), soft_wrap=True
        )


def print_notes(console: Console, notes: Iterable[str]) -> None:
    """Print a line for each thing that was taken for granted about the runs."""
    for note in notes:
        console.print(Text.assemble("  ", ("note", "yellow"), f"  {note}"), soft_wrap=True)


def print_lights(console: Console, lights: Lights) -> None:
    """Print a line each: whether the coefficients are identified, and whether the law forecasts well."""
    for light in (lights.identified, lights.forecasts_well):
        style = {True: "green", False: "yellow", None: "dim"}[light.ok]
        console.print(Text.assemble("  ", (f"{light.name} {light.mark}", style), f"  {light.reason}"), soft_wrap=True)


def print_plain(console: Console, law: Fit, plain: Fit | None) -> None:
    """Print the plain form beside the law that was chosen, in a line: its formula, and how much worse or better it forecasts."""
    from analysis.choice import compared

    if plain is not None:
        words = compared(law, plain) or "not tested"
        console.print(Text.assemble((f"{plain.law} law", "bold"), f"   {plain.equation()}   {words}"), soft_wrap=True)
    elif law.tested is not None:
        console.print(Text(f"no other form forecasts these runs clearly better than the {law.law} law"), soft_wrap=True)
    console.print()


def _print_coefficients(console: Console, fit: Fit) -> None:
    form, interval = fit.form, fit.interval()
    table = _table("", "value", f"{fit.level_words} low", "high", "")
    for name, value in fit.coefficients.items():
        kept = form.copies.get(name, name)
        ends = ("pinned", "") if kept in form.pinned else (significant(interval["low"][name]), significant(interval["high"][name]))
        meaning = form.meanings[name] if kept == name else f"{form.meanings[name]}; tied to {kept}"
        table.add_row(Text(name, "bold"), significant(value), *ends, Text(meaning, "dim"))
    table.columns[-1].justify = "left"
    console.print(table)


def _print_backtest(console: Console, backtest: Backtest) -> None:
    """Print how far each law was off, and its weight."""

    forecasts = int(backtest.windows.held_out.sum())
    _line(
        console,
        f"back-test: {len(backtest.windows)} windows, {forecasts} forecasts of runs held out, up to {backtest.horizon:g} times the window's compute",
    )
    table = _table("law", "weight", "error (one sd)", "of forecasts", "of residuals", "")
    table.columns[-1].justify = "left"
    for row in backtest.table().to_dict("records"):
        if row["law"] in backtest.scores:
            numbers = [as_factor(row[name]) for name in ("score", "forecast_error", "residual_std")]
            table.add_row(row["law"], f"{row['weight']:.2f}", *numbers, Text(row["reason"], "dim"))
        else:
            table.add_row(row["law"], "–", "–", "–", "–", Text(row["reason"], "dim"))
    console.print(table)
    if backtest.beyond_words:
        _line(console, backtest.beyond_words)


def print_frontier(console: Console, frontier: Frontier) -> None:
    """Print the best model and best epochs against compute."""
    from analysis.reading.prices import head_of

    steps = frontier.best()
    start = f"{frontier.x}_from"
    console.print(Text("compute-optimal: the best model and epochs from each compute on", "bold"))
    named = [str(name) for name in steps if name not in ("family", start, f"{frontier.x}_to")]
    named = [*_family(frontier), *named]
    table = _table(f"from {head_of(frontier.x, frontier.currency)}", *(head_of(name, frontier.currency) for name in named))
    for row in steps.to_dict("records"):
        table.add_row(significant(row[start]), *(_cell(name, row[name], frontier.metric) for name in named))
    console.print(table)
    console.print()


def print_points(console: Console, frontier: Frontier, band: DataFrame) -> None:
    """Print every cell, in order of compute; ● marks the compute-optimal ones.

    band: of `analysis.frontier_band`: how sure it is that a cell is one, and the interval of the lowest metric at its compute or less.
    """
    from analysis.reading.prices import head_of
    from analysis.selection import excluded_words

    points = frontier.points
    named = [*_family(frontier), *(name for name in ("model", "epochs", "learning_rate", "seeds") if name in points)]
    known = bool(band["frontier_share"].notna().all())
    priced = ["cost"] if "cost" in points and frontier.x != "cost" else []
    table = _table(
        "",
        *(head_of(name, frontier.currency) for name in (frontier.x, *priced)),
        *named,
        frontier.metric,
        "min",
        "max",
        *(("sure", "best low", "high") if known else ()),
    )
    for row, sure in zip(points.to_dict("records"), band.to_dict("records"), strict=True):
        spread = (significant(row[f"{frontier.metric}_{end}"]) for end in ("min", "max"))
        cells = (_cell(name, row[name], frontier.metric) for name in (*named, frontier.metric))
        mark, style = ("●", None) if row["on_frontier"] else ("", "dim")
        of_band = (
            (f"{100 * sure['frontier_share']:.0f} %", significant(sure["best_low"]), significant(sure["best_high"]))
            if known
            else ()
        )
        costs = (amount(row[name]) for name in priced)
        table.add_row(mark, significant(row[frontier.x]), *costs, *cells, *spread, *of_band, style=style)
    console.print(table)
    used = f"{_count(len(frontier.runs), 'run')} in {_count(len(points), 'cell')}"
    _line(console, f"● compute-optimal; {used}, {excluded_words(frontier.excluded)}")
    if known:
        _line(console, "sure: how often noise would leave the cell on the frontier; best: what is lowest at that compute or less")
    console.print()


def print_trend(console: Console, trend: LearningRateTrend) -> None:
    """Print the law of the best learning rate, then each cell's optimum beside the best rate tried."""
    from analysis.selection import excluded_words

    console.print(Text(trend.law.formula, "bold cyan"))
    percent = f"{100 * trend.level:g} %"
    table = _table("", "value", f"{percent} low", "high", "p", "")
    table.columns[-1].justify = "left"
    for name, exponent in trend.exponents.items():
        numbers = (significant(value) for value in (exponent.value, exponent.low, exponent.high))
        table.add_row(Text(name, "bold"), *numbers, significant(exponent.p_value, 2), Text(trend.meaning(name), "dim"))
    for row in trend.models.to_dict("records"):
        ends = significant(row["c_low"]), significant(row["c_high"])
        meaning = Text(f"best rate of {row['model'] or 'the model'} at one epoch", "dim")
        table.add_row(Text("c", "bold"), significant(row["c"]), *ends, "", meaning)
    console.print(table)
    _print_status(console, trend.status, trend.advice)
    for sentence in (*trend.evidence, *(besides.sentence for besides in trend.besides)):
        _line(console, sentence)
    _line(
        console,
        f"residuals {as_factor(trend.residual_std)} (one sd); "
        f"{_count(trend.runs_used, 'run')} in {_count(len(trend.optima), 'cell')}, {excluded_words(trend.excluded)}",
    )
    console.print()
    table = _table("model", "epochs", *trend.settings, "best learning rate", f"{percent} low", "high", "best tried", "of", "")
    for row in trend.optima.to_dict("records"):
        ends = significant(row["low"]), significant(row["high"])
        edge = Text(f"the {row['at_edge']} tried: the best may lie beyond", "yellow") if row["at_edge"] else ""
        tried = f"{row['best_tried']:g}", str(row["rates"])
        settings = (str(row[name]) for name in trend.settings)
        table.add_row(row["model"], f"{row['epochs']:g}", *settings, significant(row["learning_rate"]), *ends, *tried, edge)
    console.print(table)
    for besides in trend.besides:
        console.print()
        table = _table("model", "epochs", f"best {besides.label}", f"{percent} low", "high", "best tried", "of", "")
        for row in besides.optima.to_dict("records"):
            numbers = (significant(row[name]) for name in ("value", "low", "high"))
            edge = Text(f"the {row['at_edge']} tried: the best may lie beyond", "yellow") if row["at_edge"] else ""
            table.add_row(row["model"], f"{row['epochs']:g}", *numbers, f"{row['best_tried']:g}", str(row["values"]), edge)
        console.print(table)
    print_notes(console, trend.notes)
    console.print()


def print_excluded(console: Console, excluded: Iterable[Excluded]) -> None:
    """Print a line for each kind of reason: how many, and the first ids."""
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
    word, style = ("identified", "green") if status == FitStatus.OK else (status.value, "yellow")
    console.print(Text.assemble("  ", (word, style), f"  {advice}"), soft_wrap=True)


def _family(frontier: Frontier) -> list[str]:
    """Name the column that tells families apart, where there are several."""
    return ["family"] if frontier.points["family"].nunique() > 1 else []


def _cell(name: str, value: Any, metric: str) -> str:
    if value is None or value != value:  # not known, as the parameters of a program's model
        return "–"

    if name == "params":
        return f"{value:,.0f}"
    if name == metric:
        return significant(value)
    if name == "cost":
        return amount(value)
    return value if isinstance(value, str) else f"{value:g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
