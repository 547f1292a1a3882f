"""Run ids: pinned, blind to what does not change the result, and guarded by the bits of a short run."""

import dataclasses
import hashlib

import numpy as np

from trainer import DataConfig, ModelConfig, NumericsConfig, ParentConfig, ScheduleConfig, TrainConfig, data, train
from trainer.data import DataCard
from trainer.surface import Surface

CARD = DataCard("digits", "0123456789abcdef", 10, (8, 8, 1), 1347, 450)


def make_config(**changes):
    fields = {
        "data": DataConfig("digits", CARD),
        "model": ModelConfig("nfnet", "nano-F0"),
        "schedule": ScheduleConfig(epochs=2.0),
        "batch_size": 64,
        "learning_rate": 1.6,
    }
    return TrainConfig(**fields | changes)


def test_pinned_ids():
    """These may only change together with RECIPE or on purpose: old stores would run everything again."""
    assert make_config().run_id() == "bfcfef98c50f6c58"
    assert make_config(seed=1, model=ModelConfig("nfnet", "F7+", {"dropout": 0.1})).run_id() == "0764c939a5f47a83"
    assert (
        make_config(numerics=NumericsConfig("bfloat16"), schedule=ScheduleConfig(0.25, warmup_epochs=0.1)).run_id()
        == "1bd9c134bf613068"
    )


def test_a_rehearsal_has_another_id_than_the_training_and_the_one_it_always_had():
    rehearsed = make_config(model=ModelConfig("nfnet", "nano-F0", surface=Surface()))
    assert (rehearsed.run_id(), rehearsed.shape_id()) == ("5069f4653669aefc", "a40a3580f1b1ede8")
    mine = make_config(model=ModelConfig("mine:make", "one", {"depth": 2}, Surface()))
    assert (mine.run_id(), mine.shape_id()) == ("0fe8140ae8714f07", "ac18437f7047f567")
    for config in (rehearsed, mine):
        training = dataclasses.replace(config, model=dataclasses.replace(config.model, surface=None))
        assert training.run_id() != config.run_id()
        assert TrainConfig.from_dict(config.to_dict()) == config


def test_a_fine_tuned_run_is_another_for_each_parent_and_what_it_takes_of_it():
    """What says nothing is left out, so that a later option leaves these ids alone."""
    parents = [
        None,
        ParentConfig("a" * 16),
        ParentConfig("b" * 16),
        ParentConfig("a" * 16, "ema"),
        ParentConfig("a" * 16, layer_decay=0.75),
    ]
    configs = [make_config(parent=parent) for parent in parents]
    assert [config.run_id() for config in configs] == [
        "bfcfef98c50f6c58", "894b273bc0db52d8", "60ea6afcd167e4df", "17e7a52ed8675cea", "1657e8bb185d1c31",
    ]  # fmt: skip
    assert parents[1].significant == {"run": "a" * 16}
    assert [TrainConfig.from_dict(config.to_dict()) for config in configs] == configs
    assert configs[0].to_dict()["parent"] is None


def test_where_the_data_lie_is_not_part_of_the_id():
    elsewhere = make_config(data=DataConfig("digits", CARD, {"path": "/elsewhere"}))
    assert elsewhere.run_id() == make_config().run_id()
    assert (
        make_config(data=DataConfig("digits", dataclasses.replace(CARD, fingerprint="f" * 16))).run_id() != make_config().run_id()
    )


def test_a_field_at_its_neutral_value_leaves_the_id_alone():
    assert make_config(label_smoothing=0.0, parent=None, numerics=NumericsConfig()).run_id() == make_config().run_id()
    for change in (
        {"seed": 1},
        {"learning_rate": 0.8},
        {"batch_size": 32},
        {"label_smoothing": 0.1},
        {"schedule": ScheduleConfig(4.0)},
    ):
        assert make_config(**change).run_id() != make_config().run_id()


def test_there_and_back():
    config = make_config(model=ModelConfig("nfnet", "mine", {"width": [8, 16], "depth": [1, 1]}))
    again = TrainConfig.from_dict(config.to_dict())
    assert again.run_id() == config.run_id()
    assert again.shape_id() == config.shape_id()
    assert again.to_dict() == config.to_dict()


def test_golden_bits_guard_the_recipe(tmp_path):
    """When these numbers move, results have changed: raise `trainer.config.RECIPE`, then pin the new ones.

    Rounded to four digits, so that another CPU's vector units do not count as another recipe.
    """
    config = make_config(data=DataConfig("digits", data.card("digits", {})), schedule=ScheduleConfig(epochs=0.5), batch_size=32)
    result = train(config, directory=tmp_path)
    ids = np.concatenate([data.Order(1347, 0.5, 32, 0).ids(step) for step in range(22)])
    assert hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()[:16] == "3eaaef8acb32f2ce"
    assert (config.recipe, f"{result.val_loss:.3f}", f"{result.train_loss:.3f}") == (1, "1.548", "1.967")
