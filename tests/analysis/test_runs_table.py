"""Reading tables of other people's runs, and which rows count."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.selection import usable_runs
from scaling.columns import COLUMNS
from scaling.errors import DataError, DataNotFound, UnknownName, UsageError

fit_power = partial(analysis.fit, law="power")


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_mapping_renames_and_rows_get_ids(tmp_path):
    runs = analysis.read_runs(write(tmp_path, "hours,loss\n1,2\n3,\n"), {"core_hours": "hours", "val_loss": "loss"})
    assert list(runs["id"]) == ["row 1", "row 2"]
    assert list(runs["core_hours"]) == [1, 3]
    assert np.isnan(runs["val_loss"].iloc[1])


def test_a_mapped_column_wins_over_one_of_the_same_name(tmp_path):
    runs = analysis.read_runs(write(tmp_path, "core_hours,hours\n1,10\n"), {"core_hours": "hours"})
    assert list(runs["core_hours"]) == [10]


def test_json_lines(tmp_path):
    runs = analysis.read_runs(write(tmp_path, '{"val_loss": 1.5, "model": "F0"}\n{"val_loss": 1.2, "model": "F1"}\n', "runs.jsonl"))
    assert list(runs["val_loss"]) == [1.5, 1.2]


def test_missing_file(tmp_path):
    with pytest.raises(DataNotFound, match=r"nothing\.csv"):
        analysis.read_runs(tmp_path / "nothing.csv")


def test_missing_column_names_the_nearest(tmp_path):
    with pytest.raises(UsageError, match=r'no column .tpu_hour. .*did you mean "tpu_hours"') as caught:
        analysis.read_runs(write(tmp_path, "tpu_hours,loss\n1,2\n"), {"core_hours": "tpu_hour"})
    assert "tpu_hours, loss" in caught.value.hint


def test_text_in_a_number_column_names_row_and_column(tmp_path):
    with pytest.raises(DataError, match=r"row 2, column core_hours: 'three' is not a number"):
        analysis.read_runs(write(tmp_path, "core_hours,val_loss\n1,2\nthree,4\n"))


@pytest.mark.parametrize("text", ["", "core_hours,val_loss\n"])
def test_empty_table(tmp_path, text):
    with pytest.raises(DataError, match=r"empty|no rows"):
        analysis.read_runs(write(tmp_path, text))


@pytest.mark.parametrize("text", ["[]", "[{}]", "[{}, {}]"])
def test_empty_json(tmp_path, text):
    with pytest.raises(DataError, match="no rows"):
        analysis.read_runs(write(tmp_path, text, "runs.json"))


def test_unknown_format(tmp_path):
    with pytest.raises(UsageError, match=r"\.xlsx") as caught:
        analysis.read_runs(write(tmp_path, "x", "runs.xlsx"))
    assert ".csv" in caught.value.hint


def test_every_row_left_out_has_a_reason():
    runs = pd.DataFrame(
        {
            "id": list("abcdefgh"),
            "status": ["finished"] * 5 + ["diverged", "running", "finished"],
            "core_hours": [1, 2, 0, np.inf, 5, 6, 7, np.nan],
            "val_loss": [1.0, np.nan, 1, 1, -1, np.nan, 1, 1],
        }
    )
    usable = usable_runs(runs, metric="val_loss", x="core_hours")
    assert list(usable.runs["id"]) == ["a"]
    assert {entry.id: entry.reason for entry in usable.excluded} == {
        "b": "no val_loss",
        "c": "core_hours is not positive",
        "d": "core_hours is infinite",
        "e": "val_loss is not positive",
        "f": "diverged",
        "g": "not finished (running)",
        "h": "no core_hours",
    }


def test_an_id_counts_once():
    runs = pd.DataFrame({"id": ["a", "a"], "core_hours": [1.0, 1], "val_loss": [1.0, 1]})
    usable = usable_runs(runs, metric="val_loss", x="core_hours")
    assert len(usable.runs) == 1
    assert usable.excluded[0].reason == "the same id again"


@pytest.mark.parametrize("without", [[], ["seed"], ["id"], ["id", "seed"]])
def test_rows_exported_twice_count_once(simulate, without):
    once = simulate(lambda x: x**-0.2, noise=0.01).assign(tags=[["a"], []] * 12)
    once = once.drop(columns=without)
    again = once.assign(id="again-" + once["id"]) if "id" in once else once
    found = fit_power(pd.concat([once, again], ignore_index=True), x="core_hours")
    assert found.equation(12) == fit_power(once, x="core_hours").equation(12)
    assert found.runs_used == len(once)
    assert {entry.kind for entry in found.excluded} == {"the same run again"}
    assert found.excluded[0].reason == f"repeats {once['id'].iloc[0] if 'id' in once else 'row 1'}"


def test_runs_that_differ_in_what_the_table_does_not_say_are_refused(simulate):
    once = simulate(lambda x: x**-0.2, noise=0.01)
    rerun = [once.assign(id=f"{number}-" + once["id"], val_loss=once["val_loss"] * (1 + number / 100)) for number in range(9)]
    with pytest.raises(UsageError, match="may differ in what the table does not say") as caught:
        fit_power(pd.concat(rerun, ignore_index=True))
    assert "3-run0, …)" in str(caught.value)


def test_core_hours_of_an_accelerator_that_is_not_named_are_refused(simulate):
    runs = simulate(lambda x: x**-0.2).assign(accelerator="H100", train_flops=lambda table: table["core_hours"] * 1e12)
    runs.loc[:4, "accelerator"] = None
    with pytest.raises(UsageError, match="5 runs name no accelerator") as caught:
        fit_power(runs)
    assert "--where accelerator=H100" in caught.value.hint
    fit_power(runs, x="train_flops")
    fit_power(runs.assign(accelerator=None))


def test_core_hours_of_different_accelerators_are_refused(simulate):
    runs = simulate(lambda x: x**-0.2).assign(accelerator="cpu", train_flops=lambda table: table["core_hours"] * 1e12)
    runs.loc[3, "accelerator"] = "H100"
    with pytest.raises(UsageError, match="H100, cpu") as caught:
        fit_power(runs)
    assert "train_flops" in caught.value.hint
    assert fit_power(runs, x="train_flops").runs_used == len(runs)
    runs.loc[3, "status"] = "failed"  # the only one of its kind is not used
    assert fit_power(runs).runs_used == len(runs) - 1


def test_runs_of_different_data_sets_are_refused(simulate):
    runs = simulate(lambda x: x**-0.2).assign(dataset="digits")
    runs.loc[0, "dataset"] = "fashion_mnist"
    with pytest.raises(UsageError, match="digits, fashion_mnist"):
        fit_power(runs)


def test_runs_of_different_studies_are_refused(simulate, sweep):
    """Two experiments on one data set that differ in a column of unknown meaning alone."""
    runs = simulate(lambda x: x**-0.2, noise=0.01).assign(augment="none")
    both = pd.concat([runs, runs.assign(id=runs["id"] + "b", augment="mixup", val_loss=1.5 * runs["val_loss"])], ignore_index=True)
    for answer in (analysis.frontier, analysis.fit):
        with pytest.raises(UsageError, match=r"model F1, epochs 1, seed 0: run0, run0b") as caught:
            answer(both)
        assert "differ in augment" in str(caught.value)
        assert caught.value.hint.startswith("tell them apart: --cell augment; or choose one experiment: --experiment NAME")
    assert fit_power(both, cell=("augment",)).cells == 24  # told apart on purpose
    assert fit_power(both.rename(columns={"augment": "batch_size"})).cells == 24  # a setting whose meaning is known
    assert fit_power(both.drop(columns="seed")).runs_used == len(both)
    assert fit_power(both.assign(seed=np.nan)).runs_used == len(both)
    rates = sweep()
    with pytest.raises(UsageError, match=r"model F0, epochs 1, learning_rate 0\.2, seed 0"):
        analysis.learning_rate_trend(pd.concat([rates, rates.assign(id=rates["id"] + "b", val_loss=1.5 * rates["val_loss"])]))


def test_accuracy_is_fitted_as_error(simulate):
    runs = simulate(lambda x: 0.5 * x**-0.2).assign(val_top1=lambda table: 1 - table["val_loss"])
    with pytest.raises(UsageError) as caught:
        fit_power(runs, metric="val_top1")
    assert "val_top1_error" in caught.value.hint
    assert fit_power(runs, metric="val_top1_error").params["a"] == pytest.approx(0.2)


def test_a_metric_that_is_not_there():
    table = pd.DataFrame({"core_hours": [1.0], "val_loss": [1.0]})
    with pytest.raises(UnknownName, match='"val_loss"') as caught:
        usable_runs(table, metric="valloss", x="core_hours")
    assert caught.value.hint == "choose a number column: --metric core_hours|val_loss, or rename one: --map valloss=THEIRS"
    with pytest.raises(UnknownName) as caught:
        usable_runs(table.assign(**{name: None for name in COLUMNS if name not in table}), metric="val_loss", x="core_hour")
    assert "--x " in caught.value.hint
    assert "--map" not in caught.value.hint  # the store's table: its columns have our names
