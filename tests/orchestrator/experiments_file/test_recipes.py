"""Recipes in the experiments file: what a family or a model says in place of what the file says of all, and what is wrong with it."""

import pytest

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from scaling.errors import SpecError
from trainer import SamConfig
from trainer.optimizers.adamw import AdamW
from trainer.optimizers.sgd_agc import SgdAgc

STUDY = {
    "name": "rivals",
    "dataset": "digits",
    "models": ["nano-F0", "nano-F1", "nano-ViT-Ti"],
    "epochs": [1, 2],
    "batch_size": 64,
    "label_smoothing": 0.1,
    "recipes": {
        "nfnet": {"learning_rate": 0.4, "optimizer": {"weight_decay": 0.01}},
        "nano-F1": {"learning_rate": {"grid": [0.1, 0.2]}, "ema": 0.99},
        "vit": {"learning_rate": 0.01, "optimizer": "adamw", "warmup": {"share": 0.25}, "label_smoothing": 0, "sam": {}},
    },
}


def test_a_model_comes_before_its_family_and_that_before_the_file():
    configs = [run.config for run in make_plan(*read_spec(STUDY)).runs]
    by_model = {name: [config for config in configs if config.model.name == name] for name in STUDY["models"]}
    assert {name: sorted({config.learning_rate for config in found}) for name, found in by_model.items()} == {
        "nano-F0": [0.4],
        "nano-F1": [0.1, 0.2],
        "nano-ViT-Ti": [0.01],
    }
    first, second, vit = (found[0] for found in by_model.values())
    assert (first.optimizer, first.ema, first.label_smoothing, first.sam) == (SgdAgc(weight_decay=0.01), None, 0.1, None)
    assert (second.optimizer, second.ema) == (SgdAgc(weight_decay=0.01), 0.99)
    assert (vit.optimizer, vit.label_smoothing, vit.sam) == (AdamW(), 0.0, SamConfig(0.05, 0.2))
    assert [config.warmup_steps for config in by_model["nano-ViT-Ti"]] == [6, 11]  # a quarter of 22 and of 43 steps


def test_a_file_says_as_much_alone_as_by_a_recipe():
    """The same runs, by their ids: a recipe is no part of them."""
    alone = {name: value for name, value in STUDY.items() if name != "recipes"} | {"models": ["nano-F0"], "learning_rate": 0.4}
    alone["optimizer"] = {"weight_decay": 0.01}
    ids = {run.id for run in make_plan(*read_spec(STUDY)).runs}
    assert {run.id for run in make_plan(*read_spec(alone)).runs} <= ids


@pytest.mark.parametrize(
    ("recipes", "fault"),
    [
        ({"resnet": {"learning_rate": 1}}, "recipes.resnet: unknown model or family of this file"),
        ({"vit": {"optimiser": "adamw"}}, "recipes.vit.optimiser: unknown key 'optimiser'; did you mean \"optimizer\"?"),
        ({"vit": {"optimizer": {"name": "adamw", "beta1": 1}}}, "recipes.vit.optimizer.beta1: unknown key 'beta1'"),
        ({"vit": {"optimizer": {"name": "adamw", "b1": 1}}}, "recipes.vit.optimizer.b1: 1 is not allowed: it must be less than 1"),
        ({"vit": {"schedule": "rsqrt"}}, "recipes.vit: rsqrt falls over as many steps as the warm-up has"),
        ({"vit": {"sam": {"share": 0}}}, "recipes.vit.sam.share: 0 is not allowed"),
        ({"vit": {"learning_rate": {"at": {3: 0.1}}}}, "recipes.vit.learning_rate.at: 3 is not one of the epoch budgets"),
        ({"vit": {}}, "learning_rate: no learning rate for model 'nano-ViT-Ti'"),
        ({"vit": {"schedule": "nothing.here:Step"}}, "recipes.vit.schedule: schedule 'nothing.here:Step' cannot be imported"),
        ({"vit": {"schedule": "math:sin"}}, "recipes.vit.schedule: schedule 'math:sin' is no class of schedules"),
    ],
)
def test_a_fault_of_a_recipe_is_one_line(recipes, fault):
    with pytest.raises(SpecError) as raised:
        read_spec(STUDY | {"recipes": STUDY["recipes"] | recipes})
    found = [str(each) for each in raised.value.faults]
    assert any(each.startswith(f"experiments: {fault}") for each in found), found
    assert not any("is missing" in each for each in found), found


def test_a_schedule_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_schedules.py").write_text(
        "from dataclasses import dataclass\nfrom trainer.schedules import Schedule\n\n\n"
        "@dataclass(frozen=True)\nclass Step(Schedule):\n    at: float = 0.5\n\n"
        "    def share(self, step, steps, warmup_steps):\n        return 1.0 if step < self.at * steps else 0.1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    study = STUDY | {"schedule": {"name": "my_schedules:Step", "at": 0.25}}
    schedule = make_plan(*read_spec(study)).runs[0].config.schedule
    assert [schedule.schedule.share(step, 8, 0) for step in (0, 1, 2, 7)] == [1.0, 1.0, 0.1, 0.1]
    with pytest.raises(SpecError, match=r"schedule\.when: unknown key 'when'"):
        read_spec(STUDY | {"schedule": {"name": "my_schedules:Step", "when": 0.25}})
