"""Figures draw the numbers they are given, with what a page needs: ids to click, both scales, nothing that needs WebGL."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs_version

import analysis
from analysis.figures import best_model_figure, frontier_figure, learning_rate_figure, residuals_figure
from analysis.figures.axes import log_ticks, tick_texts
from analysis.figures.curves import curve_line, scale_of
from analysis.figures.script import plotly_js, plotly_version
from analysis.figures.style import looks

fit_power = partial(analysis.fit, law="power")


@pytest.fixture
def frontier(nfnet):
    return analysis.frontier(nfnet, metric="error")


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_frontier_figure_draws_the_frontier(frontier, nfnet):
    figure = frontier_figure(frontier, [fit_power(nfnet, metric="error", on="frontier")])
    assert list(named(figure, "compute-optimal").x) == list(frontier.on_frontier["core_hours"])
    f3 = frontier.points[frontier.points["model"] == "F3"]
    assert list(named(figure, "F3").y) == list(f3["error"])
    assert list(named(figure, "F3").customdata) == [ids[0] for ids in f3["run_ids"]]
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert figure.layout.uirevision


def test_law_is_solid_over_its_runs_and_dashed_beyond(frontier, nfnet):
    fit = fit_power(nfnet, metric="error", on="frontier")
    lines = [trace for trace in frontier_figure(frontier, [fit]).data if trace.name == "power law, frontier"]
    assert [line.line.dash for line in lines] == ["solid", "dash"]
    assert max(lines[0].x) == pytest.approx(fit.x_range[1])
    assert min(lines[1].x) == pytest.approx(fit.x_range[1])
    np.testing.assert_allclose(lines[0].y, fit.predict(lines[0].x)["mean"])


def test_single_runs_are_drawn_where_seeds_repeat(simulate):
    runs = simulate(lambda x: x**-0.2, noise=0.02)
    figure = frontier_figure(analysis.frontier(runs))
    assert set(named(figure, "F1, single runs").customdata) == set(runs["id"])


def test_models_differ_in_colour_and_in_marker(frontier):
    styles = looks(frontier.points)
    assert len({look.colour for look in styles.values()}) == len({look.marker for look in styles.values()}) == 4


def test_linear_scales(frontier):
    figure = frontier_figure(frontier, x_scale="linear", y_scale="linear")
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "linear"


def test_names_of_laws_stand_beside_their_ends_and_across_no_curve(frontier, nfnet):
    """The curves are as the page of laws draws them, on 1070 × 450 px of the plot that 1280 px of a screen leave."""
    laws = ("power", "power-floor", "saturating", "hill")
    figure = frontier_figure(frontier, [analysis.fit(nfnet, metric="error", law=law) for law in laws], extrapolate=10, bands=False)
    (x_low, x_high), (y_low, y_high) = figure.layout.xaxis.range, figure.layout.yaxis.range

    def pixels(x, y):
        return 1070 * (np.asarray(x) - x_low) / (x_high - x_low), 450 * (np.asarray(y) - y_low) / (y_high - y_low)

    curves = [trace for trace in figure.data if trace.mode == "lines"]
    for law in laws:
        note = next(note for note in figure.layout.annotations if note.name == f"{law} law")
        x, y = pixels(note.x, note.y)
        left = x + note.xshift - {"left": 0, "center": 0.5, "right": 1}[note.xanchor] * 7 * len(note.text)
        bottom = y + note.yshift - {"bottom": 0, "middle": 7.5, "top": 15}[note.yanchor]
        for curve in curves:
            along, up = pixels(np.log10(curve.x), np.log10(curve.y))
            inside = (along > left) & (along < left + 7 * len(note.text)) & (up > bottom) & (up < bottom + 15)
            assert not inside.any(), (law, curve.name)
        assert left >= 0
        assert left + 7 * len(note.text) <= 1070


def test_residuals_and_best_model(nfnet, frontier):
    fit = fit_power(nfnet, metric="error")
    figure = residuals_figure(fit)
    drawn = np.concatenate([trace.y for trace in figure.data])
    assert sorted(drawn) == pytest.approx(sorted(100 * (nfnet["error"] / fit.predict(nfnet)["mean"] - 1)))
    assert figure.layout.shapes[0].y1 == pytest.approx(100 * (np.exp(2 * fit.residual_std) - 1))
    steps = best_model_figure(frontier)
    assert list(steps.data[0].x)[:-1] == list(frontier.best()["core_hours_from"])
    assert list(steps.layout.yaxis.categoryarray) == ["F1", "F3", "F3_wide", "F7"]


def test_learning_rate_figure(sweep):
    trend = analysis.learning_rate_trend(sweep(rates=(0.2, 0.4, 0.8)))
    markers = named(learning_rate_figure(trend), "F0")
    assert list(markers.y) == trend.optima.loc[trend.optima["model"] == "F0", "best_tried"].tolist()
    assert "circle-open" in markers.marker.symbol
    cell = trend.predict_cell(model="F0", epochs=32)
    star = named(learning_rate_figure(trend, cell), "F0, predicted")
    assert (star.x[0], star.y[0]) == (32, cell.value)


def test_families_are_all_drawn_in_each_figure_of_models(sweep, frontier):
    """A model then stands in the legend with its family; what is drawn is what one family alone would have, also where the other has no part in it."""
    runs = sweep(rates=(0.2, 0.4, 0.8))
    other = runs.assign(
        id=runs["id"].astype(str) + "-other", family="vit", model="vit-" + runs["model"].astype(str), val_loss=2 * runs["val_loss"]
    )
    trend = analysis.learning_rate_trend(pd.concat([runs.assign(id=runs["id"].astype(str), family="nfnet"), other]))
    cell = trend.predict_cell(model="vit-F0", epochs=32)
    figure = learning_rate_figure(trend, cell)
    for family, model in (("nfnet", "F0"), ("vit", "vit-F0")):
        own = trend.optima[trend.optima["model"] == model]
        assert list(named(figure, f"{family} {model}").y) == own["best_tried"].tolist() != []
    assert named(figure, "vit-F0, predicted").marker.color == named(figure, "vit vit-F0").marker.color
    points = frontier.points.assign(family="nfnet")
    worse = points.assign(family="vit", on_frontier=False)
    both = replace(frontier, points=pd.concat([points, worse], ignore_index=True))
    drawn = [len(trace.x) for trace in best_model_figure(both).data]
    assert drawn == [len(trace.x) for trace in best_model_figure(frontier).data]


def test_no_marker_of_a_learning_rate_lies_beyond_the_axis():
    """Six models side by side, at budgets as near as those of the default study."""
    runs = analysis.read_runs(Path(__file__).parents[2] / "docs" / "default_study.csv")
    figure = learning_rate_figure(analysis.learning_rate_trend(runs))
    low, high = (10.0**end for end in figure.layout.xaxis.range)
    drawn = [x for trace in figure.data for x in trace.x]
    assert low < min(drawn)
    assert max(drawn) < high


def test_every_figure_is_plain_svg_and_json(nfnet, frontier, sweep):
    fit = fit_power(nfnet, metric="error")
    trend = analysis.learning_rate_trend(sweep())
    for figure in (
        frontier_figure(frontier, [fit]),
        residuals_figure(fit),
        best_model_figure(frontier),
        learning_rate_figure(trend),
    ):
        assert {trace.type for trace in figure.data} == {"scatter"}
        assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
        json.loads(figure.to_json())


def test_the_script_is_of_the_version_that_plotly_writes_figures_for():
    assert plotly_version().split(".")[0] == get_plotlyjs_version().split(".")[0]
    assert f"basic - minified) v{plotly_version()}" in plotly_js()[:200]
    assert "</script" not in plotly_js()


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.11, 0.52, "0.12 0.15 0.2 0.25 0.3 0.4 0.5"),
        (9.4, 14.2, "10 11 12 13 14"),
        (0.0009, 12, "0.001 0.01 0.1 1 10"),
        (9e3, 1.1e5, "10,000 15,000 20,000 30,000 40,000 50,000 70,000 100,000"),
        (9e14, 5e15, "10<sup>15</sup> 1.5·10<sup>15</sup> 2·10<sup>15</sup> 3·10<sup>15</sup> 4·10<sup>15</sup> 5·10<sup>15</sup>"),
        (1e-6, 2e9, "10<sup>−6</sup> 10<sup>−3</sup> 1 10<sup>3</sup> 10<sup>6</sup> 10<sup>9</sup>"),
    ],
)
def test_tick_labels_are_round_and_few(low, high, labels):
    ticks = log_ticks(low, high)
    assert all(low <= tick <= high for tick in ticks)
    assert tick_texts(ticks) == labels.split()


def test_curves_are_told_apart_and_short_ones_seen():
    lines = [curve_line(str(n), [(1, 2.0), (2, None)], n, is_marked=False, hover="step") for n in range(12)]
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in lines}) == 12
    assert lines[0]["mode"] == "lines+markers"
    assert scale_of([[(1, 2.0), (2, None)]], is_loss=True) == ([2.0], "log")
    assert scale_of([[(1, 0.0)]], is_loss=True)[1] == "linear"
