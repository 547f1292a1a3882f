"""Settings of runs' recipes as columns: of the trainer's own configs, on every page alike, and as a question for `compare`."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

import analysis
from orchestrator.store import queries
from orchestrator.store.grid import accept
from orchestrator.store.recipes import settings_of
from scaling.columns import RECIPE_COLUMNS, RECIPE_NEUTRAL, RUN_COLUMNS, table_rows
from scaling.formulas import csv_text
from tests.api.small_grid import run_row
from trainer import TrainConfig
from trainer.config import AugmentConfig, DataConfig, ModelConfig, SamConfig, ScheduleConfig
from trainer.data.dataset import DataCard
from trainer.optimizers.sgd import Sgd

PLAIN = TrainConfig(
    DataConfig("digits", DataCard("digits", "0" * 16, 10, (8, 8, 1), 1000, 100)),
    ModelConfig("nfnet", "nano-F0"),
    ScheduleConfig(1.0),
    64,
    0.1,
)
ANOTHER = replace(
    PLAIN,
    model=ModelConfig("nfnet", "nano-F0", {"dropout": 0.2, "stochastic_depth": 0.1}),
    schedule=ScheduleConfig(1.0, name="constant"),
    optimizer=Sgd(),
    label_smoothing=0.1,
    ema=0.999,
    sam=SamConfig(rho=0.05, share=0.2),
    augment=AugmentConfig(crop=True, flip=True, randaugment_layers=2, mixup=0.2, cutmix=1.0, repeats=4),
)


@pytest.fixture
def filled(store):
    """Three runs without, three with SAM; every setting else is as it is by default. In SQLite one has a number that no JSON can hold."""
    odd = float("inf") if store.name.endswith(".db") else 0.0
    rows = [run_row("nano-F0", 1, seed, number=seed) | {"config": PLAIN.to_dict()} for seed in range(3)]
    rows += [
        run_row("nano-F0", 1, seed, number=10 + seed) | {"config": replace(PLAIN, sam=SamConfig()).to_dict() | {"note": note}}
        for seed, note in enumerate((0.0, odd, 1.0))
    ]
    with store.write() as session:
        accept(session, name="e", file="e.yaml", text="", resolved={}, shared={}, runs=rows)
    return store


def test_every_setting_is_read_off_the_trainers_config():
    assert settings_of(PLAIN.to_dict()) == {}
    assert settings_of(ANOTHER.to_dict()) == {
        "optimizer": "sgd",
        "schedule": "constant",
        "label_smoothing": 0.1,
        "ema": 0.999,
        "sam": 0.05,
        "sam_share": 0.2,
        "dropout": 0.2,
        "stochastic_depth": 0.1,
        "crop": True,
        "flip": True,
        "randaugment_layers": 2,
        "mixup": 0.2,
        "cutmix": 1.0,
        "augment_repeats": 4,
    }
    assert list(RECIPE_NEUTRAL) == [column.name for column in RECIPE_COLUMNS]


def test_a_table_has_the_settings_in_which_its_runs_differ(filled):
    table = filled.runs()
    assert list(table)[len(RUN_COLUMNS) :] == ["sam", "sam_share"]
    assert table["sam"].tolist() == [0.0] * 3 + [0.05] * 3
    assert analysis.frontier(table.assign(status="finished", val_loss=1.0, core_hours=1.0)).cell_columns[-2:] == (
        "sam",
        "sam_share",
    )


def test_a_page_says_of_a_run_what_the_whole_list_says(filled):
    with filled.read() as session:
        whole = queries.runs(session)
        page = queries.runs(session, limit=4)
        detail = queries.run_detail(session, whole[-1]["id"])
    assert page == whole[:4]
    assert "sam" not in whole[0]
    assert detail["sam"] == whole[-1]["sam"] == 0.05


def test_a_csv_has_them_too_and_nothing_where_runs_agree(filled):
    with filled.read() as session:
        rows = queries.runs(session)
    read = list(csv.DictReader(io.StringIO(csv_text(*table_rows(rows)))))
    assert [row["sam"] for row in read] == ["0.0"] * 3 + ["0.05"] * 3
    assert "sam" not in table_rows(rows[3:])[1]


def test_a_program_s_runs_have_no_recipe():
    rows, columns = table_rows([{"id": "a", "optimizer": None}, {"id": "b", "sam": 0.05}, {"id": "c"}])
    assert columns[-1] == "sam"
    assert rows == [{"id": "a"}, {"id": "b", "sam": 0.05}, {"id": "c", "sam": 0.0}]
