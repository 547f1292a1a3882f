"""Data sets and augmentation in an experiments file: what runs they make, and faults with file and line."""

import shutil

import pytest

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from scaling.errors import SpecError
from tests.trainer import pictures

FILE = """\
name: mine
dataset: {{name: imagefolder, path: {path}, {options}}}
models: [{models}]
epochs: [1]
batch_size: 8
learning_rate: 0.1
{extra}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures.write_folder(tmp_path_factory.mktemp("images"), pictures.small_set())


def plan_of(tmp_path, folder, options="train_px: 24, eval_px: 32", models="nano-F0", extra=""):
    file = tmp_path / "e.yaml"
    file.write_text(FILE.format(path=folder, options=options, models=models, extra=extra))
    return make_plan(*read_spec(file))


def test_runs_are_told_apart_by_content_and_options_not_by_place_or_spelt_out_defaults(tmp_path, folder):
    plan = plan_of(tmp_path, folder)
    assert (plan.card.image_shape, plan.card.eval_shape, plan.card.num_classes) == ((24, 24, 3), (32, 32, 3), 3)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")

    def same(**changes):
        return plan_of(tmp_path, **{"folder": folder} | changes).runs[0].id == plan.runs[0].id

    assert same(folder=moved)
    assert same(options="train_px: 24, eval_px: 32, channels: 3")
    assert same(extra="augment: {crop: false, crop_min_area: 0.08}\nexecution: {workers: 3}")
    assert not same(options="train_px: 24")
    assert not same(options="train_px: 24, eval_px: 32, channels: 1")
    assert not same(extra="augment: {flip: true}")
    (moved / "train" / "cat" / "020.jpg").unlink()
    assert not same(folder=moved)


def test_augmentation_reaches_the_trainer(tmp_path, folder):
    said = "{crop: true, crop_min_area: 0.2, flip: true, randaugment_layers: 2, mixup: 0.2, cutmix: 1, repeats: 4}"
    plan = plan_of(tmp_path, folder, extra=f"augment: {said}")
    augment = plan.runs[0].config.augment
    assert (augment.crop_min_area, augment.randaugment_layers, augment.cutmix, augment.repeats) == (0.2, 2, 1.0, 4)
    assert augment.mixes
    assert plan.runs[0].examples_seen == 21
    assert plan.runs[0].unique_examples == 6  # ⌈21 / 4⌉
    assert "augment" in plan.shared
    assert "augment" not in plan_of(tmp_path, folder).shared


@pytest.mark.parametrize(
    ("changes", "line", "message"),
    [
        ({"models": "nano-F0, F0"}, 3, r"images of 24 px are too small for F0, which shrinks them 32 times"),
        ({"options": "train_px: 40, eval_px: 24", "models": "F1"}, 3, "images of 24 px are too small for F1"),
        (
            {"options": "train_px: 40, eval_px: 24", "models": "ViT-S/16"},
            3,
            "ViT-S/16: patches of 16 × 16 px do not divide images of 40 × 40 px",
        ),
        (
            {"options": "train_px: 48, eval_px: 56", "models": "ViT-S/16"},
            3,
            "ViT-S/16: patches of 16 × 16 px do not divide images of 56 × 56 px",
        ),
        ({"options": "train_px: 24, evalpx: 32"}, 2, r'unknown key \'evalpx\'; did you mean "eval_px"\?'),
        ({"options": "eval_px: 24"}, 2, "train_px is missing"),
        ({"options": "train_px: 24, num_classes: 5"}, 2, r"num_classes is 5, but .* has 3 classes \(ant, bee, cat"),
        ({"extra": "augment: {repeats: 3}"}, 7, "a batch of 8 cannot hold each example 3 times"),
        ({"extra": "augment:\n  randaugment_magnitude: 31"}, 8, "31 is not allowed"),
        ({"extra": "augment: {crops: true}"}, 7, r'unknown key \'crops\'; did you mean "crop"\?'),
    ],
)
def test_faults_say_file_and_line(tmp_path, folder, changes, line, message):
    with pytest.raises(SpecError, match=rf"e.yaml:{line}: .*{message}"):
        plan_of(tmp_path, folder, **changes)


def test_a_folder_that_is_wrong_is_a_fault_of_the_file(tmp_path, folder):
    spoilt = shutil.copytree(folder, tmp_path / "spoilt")
    (spoilt / "train" / "dog").mkdir()
    with pytest.raises(SpecError, match=r"e.yaml:2: dataset: .*dog holds no images"):
        plan_of(tmp_path, spoilt)
