"""Best size and best epochs against compute, by each approach with its interval."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.figures.axes import Scale, axis, axis_label
from analysis.figures.band import add_band
from analysis.figures.style import NEUTRAL, layout
from analysis.optimum.path import Path
from analysis.optimum.result import Optimum
from scaling.rounding import significant

__all__ = ["APPROACHES", "optimum_figure"]

APPROACHES = {"surface": ("#1B80C0", "solid"), "isocompute": ("#E69F00", "dash"), "envelope": ("#009E73", "dot")}
"""Colour and dash of each approach."""


def optimum_figure(optimum: Optimum, *, x_scale: Scale = "log", height: int = 620) -> go.Figure:
    """Draw the best size above and the best epochs below, against compute.

    Rings: the nearest cells that can be run. A mark on the line of one epoch: from where repeating pays.
    """
    figure = go.Figure()
    x_values: list[float] = []
    sizes: list[float] = []
    epochs: list[float] = [1.0] if optimum.data_name == "epochs" else []
    for path in optimum.paths:
        if not path.answers:
            continue
        colour, dash = APPROACHES[path.approach]
        for side, quantity, values in (("y", "size", sizes), ("y2", optimum.data_name, epochs)):
            table = path.table
            add_band(
                figure,
                table[optimum.x].to_numpy(float),
                *(table[f"{quantity}{end}"].to_numpy(float) for end in ("", "_low", "_high")),
                colour=colour,
                name=path.approach,
                texts=_texts(path, optimum, quantity),
                line={"color": colour, "width": 2, "dash": dash},
                showlegend=side == "y",
                yaxis=side,
            )
            values += table[quantity].tolist()
        x_values += path.table[optimum.x].tolist()
    if len(optimum.runnable):
        _add_runnable(figure, optimum)
        sizes += optimum.runnable["size"].tolist()
        epochs += optimum.runnable[optimum.data_name].tolist()
    _add_crossing(figure, optimum)
    if len(x_values) and optimum.data_name == "epochs":
        figure.add_shape(
            type="line",
            x0=min(x_values),
            x1=max(x_values),
            y0=1,
            y1=1,
            yref="y2",
            line={"color": NEUTRAL, "width": 1, "dash": "dot"},
            layer="below",
        )
    size_label = axis_label(optimum.size_name) if optimum.size_name == "params" else f"Size ({optimum.size_name})"
    figure.update_layout(
        layout(
            revision=("optimum", optimum.metric, optimum.x, x_scale),
            height=height,
            xaxis={**axis(x_values, x_scale, axis_label(optimum.x), pad=0.04), "anchor": "y2"},
            yaxis={**axis(sizes, "log", f"Best {size_label[:1].lower()}{size_label[1:]}", pad=0.12), "domain": [0.54, 1.0]},
            yaxis2={**axis(epochs, "log", f"Best {optimum.data_name.replace('_', ' ')}", pad=0.12), "domain": [0.0, 0.46]},
            legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        )
    )
    return figure


def _texts(path: Path, optimum: Optimum, quantity: str) -> list[str]:
    return [
        f"<b>{path.approach}</b><br>{optimum.x} {significant(row[optimum.x])}<br>best {quantity} {significant(row[quantity], 3)} "
        f"({100 * optimum.level:g} %: {significant(row[f'{quantity}_low'], 3)} … {significant(row[f'{quantity}_high'], 3)})"
        for row in path.table.to_dict("records")
    ]


def _add_runnable(figure: go.Figure, optimum: Optimum) -> None:
    table, data = optimum.runnable, optimum.data_name.replace("_", " ")
    texts = [
        f"<b>{row['model']} · {row[optimum.data_name]:g} {data}</b><br>nearest that can be run at {significant(row[optimum.x])} {optimum.x}"
        for row in table.to_dict("records")
    ]
    for side, quantity in (("y", "size"), ("y2", optimum.data_name)):
        figure.add_scatter(
            x=table[optimum.x],
            y=table[quantity],
            mode="markers",
            name="nearest that can be run",
            legendgroup="runnable",
            showlegend=side == "y",
            marker={"symbol": "circle-open", "size": 11, "color": NEUTRAL, "line": {"width": 1.6}},
            hovertext=texts,
            hoverinfo="text",
            yaxis=side,
        )


def _add_crossing(figure: go.Figure, optimum: Optimum) -> None:
    at = optimum.epochs_above_one.at
    if at is None:
        return
    figure.add_scatter(
        x=[at.value],
        y=[1.0],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [at.high - at.value],
            "arrayminus": [at.value - at.low],
            "color": NEUTRAL,
            "thickness": 1.4,
        },
        mode="markers",
        name="more than one epoch pays from here",
        marker={"symbol": "diamond", "size": 10, "color": NEUTRAL},
        hovertext=f"more than one epoch pays above {at.words()} {optimum.x}",
        hoverinfo="text",
        yaxis="y2",
    )
