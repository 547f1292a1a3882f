"""Loss against compute: every run, the mean of every cell, the compute-optimal ones ringed, and the laws with their bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.axes import Scale, axis, axis_label
from analysis.figures.hover import cell_texts, run_texts
from analysis.figures.line_ends import LineEnd, add_line_ends
from analysis.figures.references import add_references
from analysis.figures.style import LAW_COLOURS, LEGEND_WHERE_NARROW, NEUTRAL, Look, labels, layout, looks, translucent
from analysis.fitting.result import Fit
from analysis.pareto import Frontier
from analysis.reference_points.beside import References
from scaling.rounding import significant

__all__ = ["frontier_figure"]

_LEGEND_ROW = 22  # pixels
_ROOM_FOR_NAMES = 0.16
"""The share of the range of x that is kept free beyond several laws: each name stands beside its own end."""


def frontier_figure(
    frontier: Frontier,
    fits: Sequence[Fit] = (),
    *,
    references: References | None = None,
    among: pd.DataFrame | None = None,
    x_scale: Scale = "log",
    y_scale: Scale = "log",
    extrapolate: float = 3.0,
    bands: bool = True,
    height: int = 560,
) -> go.Figure:
    """Draw a frontier and laws fitted to the same metric and x.

    Args:
        frontier: what `analysis.frontier` returned.
        fits: laws to draw, each with the band of its mean curve: solid over the runs it was fitted to, dashed beyond. Beyond them a law
            that was chosen is drawn as its forecast says.
        references: results of others to draw beside it; the axes show them.
        among: all runs of the study, see `analysis.figures.style.looks`.
        x_scale, y_scale: `log` or `linear`.
        extrapolate: how far beyond its runs a law is drawn, as a factor of x; 1 draws none.
        bands: whether each law has its band; without, several can be told apart.
        height: pixels; the width is that of the page.
    """
    figure = go.Figure()
    for number, fit in enumerate(fits):
        _add_law(figure, fit, LAW_COLOURS[number % len(LAW_COLOURS)], extrapolate, bands)
    named = labels(frontier.points, among)
    for model, look in looks(frontier.points, among).items():
        _add_model(figure, frontier, model, named == model, look)
    optimal = frontier.on_frontier
    figure.add_scatter(
        x=optimal[frontier.x],
        y=optimal[frontier.metric],
        mode="markers",
        name="compute-optimal",
        marker={"symbol": "circle-open", "size": 18, "color": NEUTRAL, "line": {"width": 1.6}},
        hoverinfo="skip",
        legendrank=2000,
    )
    if fits and extrapolate > 1:
        _mark_extrapolation(figure, max(fit.x_range[1] for fit in fits), x_scale)
    points = frontier.points
    x_values = [*points[frontier.x], *(fit.x_range[1] * extrapolate for fit in fits)]
    if len(fits) > 1 and x_scale == "log":  # room for the names of laws beside the ends of their curves
        x_values.append(max(x_values) * (max(x_values) / min(x_values)) ** _ROOM_FOR_NAMES)
    beside = ([], []) if references is None else add_references(figure, references)
    y_values = [*beside[1], *points[f"{frontier.metric}_min"], *points[f"{frontier.metric}_max"], *_lowest_drawn(fits, extrapolate)]
    x_values += beside[0]
    figure.update_layout(
        layout(
            revision=(frontier.metric, frontier.x, x_scale, y_scale),
            height=height,
            xaxis=axis(x_values, x_scale, axis_label(frontier.x, frontier.currency), pad=0.04),
            yaxis=axis(y_values, y_scale, axis_label(frontier.metric)),
            showlegend=False,
            meta=LEGEND_WHERE_NARROW,
        )
    )
    _name_lines(figure, frontier, named, fits, extrapolate, (x_scale == "log", y_scale == "log"), x_values, y_values)
    if references is not None:  # whose names are long: the legend stands below the plot
        rows = len([trace for trace in figure.data if trace.showlegend is not False])
        figure.update_layout(
            showlegend=True,
            height=height + _LEGEND_ROW * rows // 2,
            legend={"orientation": "h", "x": 0, "y": -0.16, "xanchor": "left", "yanchor": "top"},
        )
    return figure


def _name_lines(
    figure: go.Figure,
    frontier: Frontier,
    named: pd.Series,
    fits: Sequence[Fit],
    extrapolate: float,
    logs: tuple[bool, bool],
    x_values: Sequence[float],
    y_values: Sequence[float],
) -> None:
    """Write the name of each model at the end of its line, and of each law at the end of its curve, which may be that of its forecast."""
    points, x, metric = frontier.points, frontier.x, frontier.metric
    ends = []
    for fit in fits:
        at = fit.x_range[1] * extrapolate
        name = "forecast" if fit.forecast is not None and extrapolate > 1 else _law_name(fit)
        ends.append(LineEnd(name, ((at, float((fit.forecast or fit).predict([at])["mean"].iloc[0])),)))
    for label, own in points.assign(label=named).sort_values(x, ascending=False).groupby("label", sort=False):
        line = own[[x, metric]].to_numpy(float)
        ends.append(LineEnd(str(label), (tuple(line[0]), tuple(line[-1]))))
    ranges = [
        figure.layout[name].range or (min(values), max(values)) for name, values in (("xaxis", x_values), ("yaxis", y_values))
    ]
    (x_low, x_high), (y_low, y_high) = ((float(low), float(high)) for low, high in ranges)
    add_line_ends(
        figure,
        [end for end in ends if end.name],
        points[[x, metric]].to_numpy(float),
        x_range=(x_low, x_high),
        y_range=(y_low, y_high),
        logs=logs,
        curves=[
            np.array([trace.x, trace.y], dtype=float).T for trace in figure.data if trace.mode == "lines" and trace.fill is None
        ],
    )


def _law_name(fit: Fit) -> str:
    return fit.name_words if fit.members is None else "forecast"


def _add_model(figure: go.Figure, frontier: Frontier, model: str, own: pd.Series, look: Look) -> None:
    cells = frontier.points[own]
    runs = frontier.runs[frontier.runs["cell"].isin(cells["cell"])]
    name = model or "runs"
    if len(runs) > len(cells):  # else each run *is* its cell
        figure.add_scatter(
            x=runs[frontier.x],
            y=runs[frontier.metric],
            mode="markers",
            name=f"{name}, single runs",
            legendgroup=name,
            showlegend=False,
            marker={"symbol": look.marker, "size": 5.5, "color": translucent(look.colour, 0.45), "line": {"width": 0}},
            customdata=runs["id"],
            hovertext=run_texts(runs, frontier.metric, frontier.x),
            hoverinfo="text",
        )
    figure.add_scatter(
        x=cells[frontier.x],
        y=cells[frontier.metric],
        mode="lines+markers" if "epochs" in cells else "markers",
        name=name,
        legendgroup=name,
        line={"color": translucent(look.colour, 0.45), "width": 1.2},
        marker={"symbol": look.marker, "size": 10, "color": look.colour, "line": {"width": 0}},
        customdata=[ids[0] for ids in cells["run_ids"]],
        hovertext=cell_texts(cells, frontier.metric, frontier.x),
        hoverinfo="text",
    )


def _add_law(figure: go.Figure, fit: Fit, colour: str, extrapolate: float, band: bool) -> None:
    low, high = fit.x_range
    name = f"{fit.law} law, {'frontier' if fit.on == 'frontier' else 'all runs'}"
    _add_stretch(figure, fit, np.geomspace(low, high, 80), colour, name, dash="solid", band=band)
    if extrapolate > 1:
        beyond = np.geomspace(high, high * extrapolate, 40)
        _add_stretch(figure, fit.forecast or fit, beyond, colour, name, dash="dash", band=band)


def _add_stretch(figure: go.Figure, fit: Fit, x: np.ndarray, colour: str, name: str, *, dash: str, band: bool) -> None:
    """Draw the law over `x` and its band."""
    curve = fit.predict(x)
    extrapolated = dash != "solid"
    if band:
        _add_law_band(figure, fit, x, curve, colour, name, extrapolated)
    figure.add_scatter(
        x=x,
        y=curve["mean"],
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=not extrapolated,
        legendrank=1500,
        line={"color": colour, "width": 1.8, "dash": dash},
        hovertext=[
            f"<b>{name}</b>{' (forecast)' if extrapolated else ''}<br>{fit.x} {significant(at)}<br>"
            f"{fit.metric} {significant(mean)} ({fit.level_words}: {significant(low)} … {significant(high)})"
            for at, mean, low, high in zip(x, curve["mean"], curve["low"], curve["high"], strict=True)
        ],
        hoverinfo="text",
    )


def _add_law_band(
    figure: go.Figure, fit: Fit, x: np.ndarray, curve: pd.DataFrame, colour: str, name: str, extrapolated: bool
) -> None:
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([curve["low"], curve["high"][::-1]]),
        fill="toself",
        fillcolor=translucent(colour, 0.08 if extrapolated else 0.16),
        line={"width": 0},
        mode="lines",
        name=f"{name}, {fit.level_words} band",
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )


def _mark_extrapolation(figure: go.Figure, start: float, x_scale: Scale) -> None:
    line = {"color": NEUTRAL, "width": 1, "dash": "dot"}
    # Over the lower part only: the legend stands in the upper right, where a falling loss leaves room.
    figure.add_shape(type="line", x0=start, x1=start, y0=0, y1=0.45, yref="paper", line=line, opacity=0.6, layer="below")
    figure.add_annotation(
        x=np.log10(start) if x_scale == "log" else start,  # unlike a line, an annotation is placed in the logarithm
        y=0.0,
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        text="extrapolation →",
        showarrow=False,
        font={"size": 12},
    )


def _lowest_drawn(fits: Sequence[Fit], extrapolate: float) -> list[float]:
    return [float((fit.forecast or fit).predict([fit.x_range[1] * extrapolate])["mean"].iloc[0]) for fit in fits]
