"""Reference points: the study's published numbers, hours converted as stated, a user's own, and that they change no answer."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from analysis.figures import frontier_figure
from analysis.reference_points.beside import accelerators_of, references_of
from analysis.reference_points.read import NAMES, points_of
from scaling.accelerators import CONVERSIONS
from scaling.cli.frontier import frontier_command
from scaling.errors import DataError, DataNotFound, UsageError

DIGITISED = Path(__file__).parents[1] / "reference" / "laws" / "nfnet_fig1_clean21.csv"
METRIC = "finetune_top1_error"


def runs(accelerator: str | None = "TPU-v4", metric: str = METRIC) -> pd.DataFrame:
    hours = np.geomspace(500, 50_000, 9)
    table = pd.DataFrame({"core_hours": hours, metric: 0.08 + 0.4 * hours**-0.3, "id": [f"r{n}" for n in range(9)]})
    return table if accelerator is None else table.assign(accelerator=accelerator)


def beside(which, table=None, *, metric=METRIC, x="core_hours", convert=()):
    return references_of(analysis.frontier(runs() if table is None else table, metric=metric, x=x), which, convert)


def test_the_published_points_are_those_of_the_study():
    """Typed from Smith et al. 2023: top-1 %, TPU-v4 core-hours in thousands, and the hours in thousands as each was published."""
    said = {
        "NFNet-F7+, 8 epochs": (90.3, 110, 110, "TPU-v4"),
        "NFNet-F7+, 8 epochs, repeated augmentation": (90.4, 110, 110, "TPU-v4"),
        "NFNet-F5 without extra data": (86.8, None, None, ""),
        "ViT-g/14": (90.2, 120, 210, "TPU-v3"),
        "ViT-G/14": (90.45, 280, 500, "TPU-v3"),
        "SoViT-400m/14": (90.3, 130, 230, "TPU-v3"),
    }
    found = {point.name: point for point in beside(["published"]).points}
    assert set(found) == set(said)
    for name, (top1, at, stated, accelerator) in said.items():
        point = found[name]
        assert 100 * (1 - point.value) == pytest.approx(top1)
        assert (point.at, point.stated) == (at and pytest.approx(1e3 * at), stated and pytest.approx(1e3 * stated))
        assert point.accelerator == accelerator
        assert point.is_bound == (name == "ViT-G/14")
        assert "arXiv" in point.source
    stated = next(entry.factor for entry in CONVERSIONS if entry.name == "vit")
    assert [point.factor for point in found.values() if point.factor] == pytest.approx([stated] * 3, rel=0.015)


def test_the_digitised_points_are_all_that_the_figure_has():
    with DIGITISED.open() as file:
        rows = [(float(row["tpu_v4_core_hours"]), float(row["imagenet_top1_error_pct"]) / 100) for row in csv.DictReader(file)]
    points = beside(["digitised"]).points
    assert np.allclose([(point.at, point.value) for point in points], rows, rtol=1e-4)
    assert [point.name for point in points][:2] == ["NFNet-F1, 0.25 epochs", "NFNet-F1, 0.5 epochs"]


def test_hours_are_converted_as_the_row_says_and_on_from_there_as_the_user_does():
    on_v3 = beside(["published"], runs("TPU-v3"), convert=["TPU-v4:TPU-v3=0.4"])
    hours = {point.name: point.at for point in on_v3.points}
    assert hours["ViT-g/14"] == 210_000  # of the runs' own accelerator: as published
    assert hours["NFNet-F7+, 8 epochs"] == pytest.approx(110_000 / 0.4)
    on_v4 = {point.name: point for point in beside(["published"], convert=["TPU-v3:TPU-v4=nfnet"]).points}
    assert on_v4["ViT-g/14"].at == pytest.approx(120_000), "the factor of the user's runs, NFNets, is not that of a ViT"
    assert on_v4["ViT-g/14"].factor_source.startswith("printed as 120k")
    on_h100 = {point.name: point for point in beside(["published"], runs("H100"), convert=["TPU-v4:H100=2"]).points}
    assert on_h100["ViT-g/14"].at == pytest.approx(60_000)  # by its row to TPU-v4, then on
    assert on_h100["ViT-g/14"].factor_source.startswith("printed as 120k")
    with pytest.raises(UsageError, match="of core-hours on TPU-v4, the runs of H100: they do not compare") as caught:
        beside(["published"], runs("H100"))
    assert "--convert TPU-v4:H100=FACTOR" in caught.value.hint


def test_runs_that_do_not_say_their_accelerator_get_a_note():
    found = beside(["published"], runs(None))
    assert any("the runs do not say on what they were trained" in note for note in found.notes)
    assert not any("do not say" in note for note in beside(["published"]).notes)
    assert "they are of ImageNet, whatever the runs were evaluated on" in found.notes


def test_they_change_no_answer():
    frontier = analysis.frontier(runs(), metric=METRIC)
    with_points, without = frontier.to_dict(references=beside(["published"])), frontier.to_dict()
    assert "reference_points" not in without
    assert len(with_points.pop("reference_points")) == 6
    assert with_points.pop("reference_notes")[0] == "6 reference points are results of others, and enter no fit"
    assert with_points == without
    assert references_of(frontier, ()) is None


def test_axes_show_them_and_a_level_has_its_line():
    frontier = analysis.frontier(runs(), metric=METRIC)
    found = beside(["published", "digitised"])
    plain, figure = frontier_figure(frontier), frontier_figure(frontier, references=found)
    low, high = figure.layout.xaxis.range
    assert 10**low < 682.9 < 280_000 < 10**high
    assert 10 ** plain.layout.xaxis.range[1] < 100_000
    assert 10 ** figure.layout.yaxis.range[0] < 0.0955
    names = [trace.name for trace in figure.data]
    assert "ViT-G/14 (published)" in names
    assert names.count(NAMES["digitised"]) == 1
    (level,) = [shape for shape in figure.layout.shapes if shape.y0 == shape.y1 == 0.132]
    assert level.line.dash == "dot"


FILE = "name,core_hours,finetune_top1_error,accelerator,source\nours,1000,0.2,TPU-v4,a talk\nolder,2000,0.18,,\n"


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(FILE)
    first, second = beside([str(path)]).points
    assert (first.name, first.at, first.value, first.source, first.series) == ("ours", 1000, 0.2, "a talk", "mine.csv")
    assert second.accelerator == ""
    path.write_text("name,train_flops,val_loss\nours,1e18,2.5\n")
    table = runs(None, "val_loss").rename(columns={"core_hours": "train_flops"})
    (point,) = beside([str(path)], table, metric="val_loss", x="train_flops").points
    assert point.at == 1e18


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (FILE.replace("2000", ""), 3, "older has no core_hours, so that it has no place beside the frontier"),
        (FILE.replace("finetune_top1_error", "val_loss"), 1, "no column finetune_top1_error, which the frontier is of"),
        (FILE.replace("core_hours", "hours"), 1, "no column core_hours, the compute of the frontier"),
        (FILE.replace("name", "title"), 1, "no column name"),
        (FILE.replace("1000", "1k"), 2, "core_hours of ours is '1k', and must be a number greater than 0"),
        (FILE.replace("0.2,", "-0.2,"), 2, "finetune_top1_error of ours is '-0.2'"),
        (FILE.replace("0.2,", "20,"), 2, "finetune_top1_error of ours is 20, and must be a share, 0 … 1"),
        (FILE.replace(",a talk", ""), 2, "4 cells under 5 columns"),
        (FILE.replace("\nours", "\n"), 2, "a point without a name"),
        (FILE.splitlines()[0], 1, "no reference point"),
        ("", 1, "the file is empty"),
    ],
)
def test_a_file_that_is_none_is_one_clear_line(tmp_path, text, line, words):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        points_of(str(path), metric=METRIC, x="core_hours")
    assert str(caught.value).startswith(f"{path}:{line}: {words}")
    assert "\n" not in str(caught.value)


def test_what_does_not_belong_beside_a_frontier_is_refused():
    with pytest.raises(DataNotFound, match='did you mean "published"'):
        beside(["publishd"])
    with pytest.raises(UsageError, match="top-1 errors against core_hours, and the frontier is of val_loss"):
        beside(["published"], runs(metric="val_loss"), metric="val_loss")
    per_cent = runs().assign(finetune_top1_error=lambda table: 100 * table[METRIC])
    with pytest.raises(UsageError, match="the reference points are shares"):
        beside(["published"], per_cent)


def test_the_command_shows_them_with_sources_and_converts_hours_no_run_has(tmp_path):
    app = typer.Typer()
    app.command()(frontier_command)
    runs("H100").to_csv(tmp_path / "runs.csv", index=False)
    asked = ["--data", str(tmp_path / "runs.csv"), "--metric", METRIC, "--reference", "published", "--convert", "TPU-v4:H100=2"]
    text = CliRunner().invoke(app, asked).stdout
    assert "SoViT-400m/14" in text
    assert "arXiv 2305.13035" in text
    body = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    (largest,) = [point for point in body["reference_points"] if point["name"] == "ViT-G/14"]
    assert largest["core_hours"] == pytest.approx(140_000)
    assert (largest["stated_core_hours"], largest["is_bound"]) == (500_000, True)
    without = CliRunner().invoke(app, [*asked[:4], *asked[6:]])
    assert "no run was trained on TPU-v4" in str(without.exception)


def test_accelerators_that_may_be_converted_for_their_sake():
    assert accelerators_of(("published",), METRIC, "core_hours") == {"TPU-v3", "TPU-v4"}
    assert accelerators_of(("published",), METRIC, "train_flops") == frozenset()
    assert math.isfinite(beside(["digitised"]).points[0].value)
