"""Units that a table says itself: in the type of a column, in its name, in its cells; and what `--unit` makes of a name with two meanings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.units import conversion
from scaling.errors import DataError, UsageError

HOURS = [1.0, 2.5, 36.0]
LOSSES = [2.0, 1.5, 1.0]


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def notes(runs):
    return analysis.source_of(runs)["notes"]


# Types


@pytest.fixture
def typed(tmp_path):
    table = pd.DataFrame({"wall": pd.to_timedelta(HOURS, unit="h"), "began": pd.Timestamp("2024-01-01"), "val_loss": LOSSES})
    table["ended"] = (table["began"] + table["wall"]).dt.tz_localize("UTC")
    table.to_parquet(tmp_path / "runs.parquet")
    return tmp_path / "runs.parquet"


def test_durations_are_read_in_hours(typed):
    runs = analysis.read_runs(typed, {"core_hours": "wall"})
    assert list(runs["core_hours"]) == HOURS
    assert notes(runs) == ["core_hours: its durations were read in hours"]


@pytest.mark.parametrize("unit", ["minutes*8", "hours*8", "8", "seconds*8"])
def test_a_duration_has_its_unit_and_may_be_multiplied(typed, unit):
    assert list(analysis.read_runs(typed, {"core_hours": "wall"}, {"core_hours": unit})["core_hours"]) == pytest.approx(
        [8 * hours for hours in HOURS]
    )


def test_a_missing_duration_is_missing(tmp_path):
    table = pd.DataFrame({"core_hours": pd.to_timedelta(["1h", None, "90min"]), "val_loss": LOSSES})
    table.to_parquet(tmp_path / "runs.parquet")
    hours = analysis.read_runs(tmp_path / "runs.parquet")["core_hours"].tolist()
    assert (hours[0], hours[2]) == (1.0, 1.5)
    assert np.isnan(hours[1])


WRITERS = {
    "pandas.csv": lambda table, path: table.to_csv(path, index=False),
    "pandas.tsv": lambda table, path: table.to_csv(path, index=False, sep="\t"),
    "pandas.json": lambda table, path: table.to_json(path, orient="records", date_format="iso"),
    "python.csv": lambda table, path: table.assign(wall=table["wall"].map(lambda each: str(each.to_pytimedelta()))).to_csv(path),
    "slurm.csv": lambda table, path: table.assign(wall=["01:00:00", "02:30:00", "1-12:00:00"]).to_csv(path),
    "clock.jsonl": lambda table, path: (
        table.assign(wall=["1:00:00", "2:30:00.0", "36:00:00"])
        .drop(columns=["began", "ended"])
        .to_json(path, orient="records", lines=True)
    ),
    "iso.csv": lambda table, path: table.assign(wall=["PT3600S", "P0DT2H30M0S", "P1DT12H"]).to_csv(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_durations_as_text_are_read_as_those_of_parquet(typed, name):
    path = typed.with_name(name)
    WRITERS[name](pd.read_parquet(typed), path)
    asked = ({}, {"core_hours": "seconds*8"}, {"core_hours": "8"}, {"core_hours": "hours*8"})
    for units in asked:
        runs, others = (analysis.read_runs(each, {"core_hours": "wall"}, units) for each in (path, typed))
        assert runs["core_hours"].tolist() == pytest.approx(others["core_hours"].tolist())
        assert notes(runs) == notes(others)
    with pytest.raises(DataError, match="column val_loss: its cells are in hours"):
        analysis.read_runs(path, {"val_loss": "wall"})
    with pytest.raises(DataError, match="column wall holds text") as caught:
        analysis.fit(analysis.read_runs(path), x="wall")
    assert caught.value.hint.endswith("--unit wall=hours")
    assert analysis.read_runs(path, None, {"wall": "hours"})["wall"].tolist() == pytest.approx(HOURS)


def test_text_that_is_a_duration_stays_text_where_no_number_is_wanted(tmp_path):
    runs = analysis.read_runs(write(tmp_path, "started,core_hours,val_loss\n09:30:00,00:30:00,2\n10:30:00,,1\n11:30:00,NaT,1.5\n"))
    assert list(runs["started"]) == ["09:30:00", "10:30:00", "11:30:00"]
    assert runs["core_hours"].tolist()[0] == 0.5
    assert runs["core_hours"].isna().tolist() == [False, True, True]
    assert runs.attrs["source"]["notes"] == ["core_hours: its durations were read in hours"]


@pytest.mark.parametrize(
    ("cells", "row", "hint"),
    [
        ("45:10 01:00:00 02:00:00", "row 1, column core_hours: '45:10'", "minutes and seconds"),
        ("01:00:00 90:00 45:10", "row 2, column core_hours: '90:00' is not a number (1 more like it)", "90 min"),
        ("01:00:00 2 3", "row 1, column core_hours: '01:00:00'", "plainly"),
        ("01:00:00 soon 02:00:00", "row 2, column core_hours: 'soon'", "plainly"),
        ("1:99:00 2 3", "row 1, column core_hours: '1:99:00'", "plainly"),
    ],
)
def test_what_is_no_duration_or_half_of_one_is_refused_with_a_cure(tmp_path, cells, row, hint):
    lines = "\n".join(f"{cell},{loss}" for cell, loss in zip(cells.split(), LOSSES, strict=True))
    with pytest.raises(DataError) as caught:
        analysis.read_runs(write(tmp_path, f"core_hours,val_loss\n{lines}\n"))
    assert row in str(caught.value)
    assert hint in caught.value.hint


def test_a_duration_below_nothing_is_left_out_of_a_fit(tmp_path):
    text = "".join(f"0 days {hours:02d}:00:00,{hours**-0.2}\n" for hours in (1, 2, 4, 8, 16))
    runs = analysis.read_runs(write(tmp_path, f"core_hours,val_loss\n{text}-1 days +23:00:00,2\n"))
    fit = analysis.fit(runs, law="power", on="all")
    assert fit.params["a"] == pytest.approx(0.2)
    assert [entry.reason for entry in fit.excluded] == ["core_hours is not positive"]


def test_a_duration_is_no_loss(typed):
    with pytest.raises(DataError, match="column val_loss: its cells are in hours, and val_loss is nats") as caught:
        analysis.read_runs(typed, {"val_loss": "wall"})
    assert "--map duration=wall" in caught.value.hint


def test_a_duration_under_its_own_name_is_refused_with_a_cure(typed):
    with pytest.raises(DataError, match="column wall holds durations: '0 days 01:00:00' in row 1") as caught:
        analysis.fit(analysis.read_runs(typed), x="wall")
    assert caught.value.hint.endswith("--unit wall=hours")
    assert list(analysis.read_runs(typed, None, {"wall": "hours"})["wall"]) == HOURS


@pytest.mark.parametrize("name", ["began", "ended"])
def test_a_point_in_time_is_no_number(typed, name):
    with pytest.raises(DataError, match=r"row 1, column core_hours: '2024-01-0.* is a point in time, not a number") as caught:
        analysis.read_runs(typed, {"core_hours": name})
    assert "--map core_hours=" in caught.value.hint
    with pytest.raises(DataError, match=f"column {name} holds points in time"):
        analysis.fit(analysis.read_runs(typed), x=name)


def test_a_column_of_points_in_time_without_one_is_empty(tmp_path):
    pd.DataFrame({"epochs": pd.to_datetime([None, None]), "val_loss": LOSSES[:2]}).to_parquet(tmp_path / "runs.parquet")
    assert analysis.read_runs(tmp_path / "runs.parquet")["epochs"].isna().all()


def test_points_in_time_beside_numbers_are_left_alone(typed):
    assert list(analysis.read_runs(typed)["val_loss"]) == LOSSES


# Names


@pytest.mark.parametrize(
    ("ours", "theirs", "unit"),
    [
        ("val_loss", "val loss (bits)", "bits"),
        ("val_loss", "eval [bits per token]", "bits"),
        ("val_top1_error", "top1 error (%)", "%"),
        ("core_hours", "time [min]", "minutes"),
        ("core_hours", "time (s)", "seconds"),
        ("core_hours", "wall_seconds", "seconds"),
        ("core_hours", "wall_s", "seconds"),
        ("train_flops", "compute (PFLOP)", "PFLOP"),
        ("params", "weights (M)", "million"),
    ],
)
def test_a_header_that_names_a_unit_is_said(tmp_path, ours, theirs, unit):
    path = write(tmp_path, f"{theirs},other\n0.5,1\n")
    runs = analysis.read_runs(path, {ours: theirs})
    assert list(runs[ours]) == [0.5]
    (note,) = notes(runs)
    assert note.startswith(f"{theirs!r} names {unit}, and {ours} was read as ")
    assert f"--unit {ours}={unit} converts it" in note
    asked = analysis.read_runs(path, {ours: theirs}, {ours: unit})
    assert notes(asked) == [f"{ours} was read as {unit}: {asked[ours].iloc[0] / 0.5:.6g} of what the file holds"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("core_hours", "time (h)"),
        ("core_hours", "gpu_hours"),
        ("val_loss", "loss [nats]"),
        ("val_loss", "loss (s)"),
        ("train_flops", "FLOPs"),
        ("val_top1_error", "error (top k)"),
        ("val_top1_error", "error (B)"),
        ("params", "top_k"),
        ("family", "name (M)"),
    ],
)
def test_a_header_that_says_what_is_read_needs_no_note(tmp_path, ours, theirs):
    assert notes(analysis.read_runs(write(tmp_path, f"{theirs},other\n0.5,1\n"), {ours: theirs})) == []


def test_a_unit_that_is_ours_by_option_needs_no_note(tmp_path):
    path = write(tmp_path, "time (s)\n1\n")
    assert notes(analysis.read_runs(path, {"core_hours": "time (s)"}, {"core_hours": "hours"})) == []


# Cells


def test_per_cents_of_a_loss_name_the_cure(tmp_path):
    path = write(tmp_path, "core_hours,val_loss\n1,20.0%\n2,17.4%\n")
    with pytest.raises(DataError, match="column val_loss: its cells are in %, and val_loss is nats") as caught:
        analysis.read_runs(path)
    assert caught.value.hint.endswith("--map error=val_loss --metric error")
    assert list(analysis.read_runs(path, {"error": "val_loss"})["error"]) == pytest.approx([0.2, 0.174])


def test_per_cents_of_a_metric_that_is_not_ours_name_the_cure(tmp_path):
    path = write(tmp_path, "core_hours,err\n1,20.0 %\n2,17.41 %\n")
    with pytest.raises(DataError, match="column err holds text") as caught:
        analysis.fit(analysis.read_runs(path), metric="err")
    assert caught.value.hint.endswith("--unit err=%")
    assert list(analysis.read_runs(path, None, {"err": "%"})["err"]) == pytest.approx([0.2, 0.1741])


@pytest.mark.parametrize("bad", ["01. Mai", "diverged", "2.0.1"])
def test_the_one_bad_cell_among_decimal_commas_is_named(tmp_path, bad):
    path = write(tmp_path, f"core_hours;val_loss\n1;2,0\n2;1,75\n4;{bad}\n8;1,25\n")
    with pytest.raises(DataError, match=f"row 3, column val_loss: '{bad}' is not a number$"):
        analysis.read_runs(path)


# Options


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("FLOP/(312e12*seconds)", "seconds/3.12e+14"),
        ("PFLOP/(312e12*seconds)", "seconds/0.312"),
        ("FLOP/(312*TFLOPS)", "seconds/3.12e+14"),
        ("FLOP/(2e16*minutes*mfu)", "minutes/(2e+16*mfu)"),
    ],
)
def test_compute_over_a_rate_names_the_cure(text, cure):
    with pytest.raises(UsageError, match="these units leave no time") as caught:
        conversion("core_hours", text, ["mfu"])
    assert f"'core_hours={cure}'" in caught.value.hint
    assert conversion("core_hours", cure, ["mfu"]).unit is not None


def test_one_over_time_names_the_cure():
    with pytest.raises(UsageError, match="these units leave no time") as caught:
        conversion("core_hours", "1/(rate*seconds)", ["rate"])
    assert caught.value.hint == "time stands above the line: --unit 'core_hours=seconds/(1*rate)'"


def test_compute_by_the_rate_of_a_device_is_time():
    assert conversion("core_hours", "seconds/312e12", []).factor * 312e12 * 3600 == pytest.approx(1)
    assert conversion("core_hours", "FLOP/peak", ["peak"]).per == ("peak",)  # a rate that the table holds


@pytest.mark.parametrize(("text", "letter"), [("hours*B", "B"), ("seconds*k", "k"), ("B*hours", "B"), ("hours/d", "d")])
def test_a_column_called_as_a_unit_is_one_beside_a_unit(tmp_path, text, letter):
    found = conversion("core_hours", text, [letter])
    assert found.columns == (letter,) == found.chosen
    runs = analysis.read_runs(write(tmp_path, f"core_hours,{letter}\n6,2\n"), None, {"core_hours": text})
    assert f"--unit core_hours={text}: {letter} is the column of the table, not the unit" in notes(runs)


def test_a_unit_alone_is_one_whatever_the_columns_are_called():
    assert conversion("params", "B", ["B"]).factor == 1e9
    assert conversion("core_hours", "seconds*8", ["seconds"]).factor == pytest.approx(8 / 3600)


def test_two_units_of_which_one_is_a_column_name_the_cure(tmp_path):
    path = write(tmp_path, "core_hours,days\n6,2\n")
    with pytest.raises(UsageError, match="names two units") as caught:
        analysis.read_runs(path, None, {"core_hours": "hours*days"})
    assert "--map NAME=days --unit core_hours=UNIT*NAME" in caught.value.hint
    assert list(analysis.read_runs(path, {"n": "days"}, {"core_hours": "hours*n"})["core_hours"]) == [12.0]


# Keys of JSON


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.jsonl", '{"a": 1}\n{"val_loss": 2, "val_loss": 9}\n', "line 2: two keys of one object are called 'val_loss'"),
        ("r.json", '[{"val_loss": 2, "val_loss": 9}]', "two keys of one object are called 'val_loss'"),
        ("r.jsonl", '{"summary": {"loss": 2, "loss": 9}}\n', "two keys of one object are called 'loss'"),
        ("r.json", '{"val_loss": [2, 1], "val_loss": [3, 4]}', "two keys of one object are called 'val_loss'"),
        ("r.json", '[{"x": 1}, {"a.b": 1, "a": {"b": 2}}]', "row 2: two values of one run are called 'a.b'"),
        ("r.jsonl", '{"a": {"b": 2}, "a.b": 1}\n', "row 1: two values of one run are called 'a.b'"),
        ("r.json", '{"runs": [{"a.b": {"c": 1}, "a": {"b.c": 2}}]}', "two values of one run are called 'a.b.c'"),
        ("r.json", '{"one": {"core_hours": 1, "a.b": 2, "a": {"b": 3}}}', "two values of one run are called 'a.b'"),
        ("r.json", '{"columns": ["x", "x"], "data": [[1, 2], [3, 4]]}', "two columns are called 'x'"),
    ],
)
def test_a_key_with_two_values_is_refused(tmp_path, name, text, words):
    with pytest.raises(DataError, match=words) as caught:
        analysis.read_runs(write(tmp_path, text, name))
    assert caught.value.hint == "give each value a name of its own"


def test_a_key_that_repeats_its_value_is_read(tmp_path):
    assert list(analysis.read_runs(write(tmp_path, '{"val_loss": 2, "val_loss": 2}\n', "r.jsonl"))["val_loss"]) == [2]
    assert list(analysis.read_runs(write(tmp_path, '[{"a.b": 2, "a": {"b": 2}}]', "r.json"))["a.b"]) == [2]
    rows = '[{"a.b": 2, "val_loss": 1}, {"a": {"b": 3}, "val_loss": 1}]'  # one value a run, under either spelling
    assert list(analysis.read_runs(write(tmp_path, rows, "r.json"))["a.b"]) == [2, 3]


def test_a_nested_column_of_parquet_that_bears_the_name_of_another_is_refused(tmp_path):
    pd.DataFrame({"a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]}).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(DataError, match=r"two columns are called 'a\.b'"):
        analysis.read_runs(tmp_path / "r.parquet")


def test_a_setting_of_wandb_that_has_the_name_of_a_result_is_kept_beside_it(tmp_path):
    """Names meet once what is nested is joined by dots: in the CSV of the API's example, and in a folder without a log."""
    config, summary = {"epoch": 10, "opt": {"lr": 0.1}}, {"epoch": 3, "opt.lr": 0.05, "loss": 2.0}
    table = pd.DataFrame({"name": ["r1"], "summary": [str(summary)], "config": [str(config)]})
    table.to_csv(tmp_path / "runs.csv", index=False)
    files = tmp_path / "wandb" / "run-1-abc" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text(json.dumps({name: {"value": value} for name, value in config.items()}))
    (files / "wandb-summary.json").write_text(json.dumps(summary))
    for path in (tmp_path / "runs.csv", tmp_path / "wandb"):
        (row,) = analysis.read_runs(path).to_dict("records")
        assert (row["epoch"], row["config.epoch"], row["opt.lr"], row["config.opt.lr"]) == (3, 10, 0.05, 0.1)


def test_sizes_are_read_as_people_write_them(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,core_hours,val_loss\n70M,1,3.0\n125M,2,2.8\n1.3B,4,2.5\n6.7B,8,2.2\n")
    runs = analysis.read_runs(path)
    assert runs["params"].tolist() == pytest.approx([70e6, 125e6, 1.3e9, 6.7e9])
