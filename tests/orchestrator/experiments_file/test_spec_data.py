"""Data sets and augmentation in an experiments file: what runs they make, and faults with file and line."""

import json
import shutil

import pytest

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced
from scaling.errors import SpecError
from tests.trainer import exclusions, pictures
from trainer import data

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


def test_what_is_left_out_is_part_of_run_ids_and_where_the_list_lies_is_not(tmp_path, folder):
    options = {"path": str(folder), "train_px": 24, "eval_px": 32}
    whole = data.load("imagefolder", options)
    listed = [exclusions.write(tmp_path / name, whole, options, [3, 4]) for name in ("a.parquet", "b.parquet")]
    nothing = exclusions.write(tmp_path / "nothing.parquet", whole, options, [])
    plans = [
        plan_of(tmp_path, folder, f"train_px: 24, eval_px: 32{'' if path is None else f', exclude: {path}'}")
        for path in (None, nothing, *listed)
    ]
    ids = [plan.runs[0].id for plan in plans]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert plans[0].shared == plans[1].shared
    assert [plan.card.train_examples for plan in plans] == [21, 21, 19, 19]
    assert (plans[0].runs[0].examples_seen, plans[2].runs[0].examples_seen) == (21, 19)
    notes = [Priced(plan).notes for plan in plans]
    name = whole.card.name
    assert notes[0] == []
    assert notes[1] == [f"{nothing} names no training image of {name}: nothing to leave out"]
    assert notes[2] == [f"2 of 21 training images of {name} are left out, as {listed[0]} says"]


def test_a_list_at_fault_is_named_with_its_line(tmp_path, folder):
    options = {"path": str(folder), "train_px": 24}
    whole = data.load("imagefolder", options)
    most = exclusions.write(tmp_path / "most.parquet", whole, options, range(2, 21))
    digits = exclusions.write(tmp_path / "digits.parquet", data.load("digits", {}), {}, [1])
    plain = f"dataset: {{name: imagefolder, path: {folder}, train_px: 24}}"

    def said(dataset, extra=""):
        file = tmp_path / "e.yaml"
        file.write_text(f"name: mine\n{dataset}\nmodels: [nano-F0]\nepochs: [1]\nbatch_size: 8\nlearning_rate: 0.1\n{extra}")
        with pytest.raises(SpecError) as caught:
            read_spec(file)
        assert len(caught.value.faults) == 1, str(caught.value)
        return str(caught.value).removeprefix(str(file))

    def listing(path):
        return f"{plain[:-1]},\n  exclude: {path}}}"

    assert said(listing("nowhere.parquet")).startswith(":3: dataset.exclude: there is no file nowhere.parquet (")
    of_other = f":3: dataset.exclude: {digits} is of digits ({data.card('digits', {}).fingerprint}), not of {whole.card.name} ("
    assert said(listing(digits)).startswith(of_other)
    too_few = f"dataset.exclude: {most} leaves 2 of 21 training images of {whole.card.name}, fewer than a batch of 8"
    assert said(listing(most)) == f":3: {too_few}"
    gone = f"dataset: {{name: imagefolder, path: {tmp_path}/gone, train_px: 24, exclude: {most}}}"
    assert said(gone).startswith(f":2: dataset: there is no folder {tmp_path}/gone"), "the data are at fault, not their list"
    declared = "title: t, train_examples: 100, validation_examples: 9, num_classes: 3, image_shape: [32, 32, 3]"
    not_at_hand = f"dataset: {{name: declared, {declared},\n  exclude: {most}}}"
    assert said(not_at_hand).startswith(":3: dataset.exclude: a data set that is only declared has no images to leave out")
    block = f"finetune:\n  dataset:\n    name: imagefolder\n    path: {folder}\n    train_px: 24\n    exclude: {most}\n  epochs: 1\n  learning_rate: 0.1\n"
    assert said(plain, block) == f":12: finetune.{too_few}"


def test_data_that_were_never_checked_against_those_of_pre_training_are_named(tmp_path, folder):
    options = {"path": str(folder), "train_px": 24, "channels": 1}
    whole, digits = data.load("imagefolder", options), data.load("digits", {"copies": 2})
    study = {
        "name": "mine", "dataset": {"name": "imagefolder", **options}, "models": ["nano-F0"], "epochs": [1], "batch_size": 8,
        "learning_rate": 0.1, "finetune": {"dataset": {"name": "digits", "copies": 2}, "epochs": 1, "learning_rate": 0.1},
    }  # fmt: skip
    warned = "digits, on which runs are fine-tuned, was never checked against"

    def notes(**changes):
        return " ".join(Priced(make_plan(*read_spec(study | changes))).notes)

    assert f"{warned} {whole.card.name} for duplicates: `scaling dedup FILE`" in notes()
    (tmp_path / "e.yaml").write_text(json.dumps(study))
    assert f"`scaling dedup {tmp_path / 'e.yaml'}`" in " ".join(Priced(make_plan(*read_spec(tmp_path / "e.yaml"))).notes)
    unchecked = exclusions.write(tmp_path / "own.parquet", whole, options, [1])
    assert warned in notes(dataset=study["dataset"] | {"exclude": unchecked})
    for indices in ([], [1]):
        checked = exclusions.write(tmp_path / "all.parquet", whole, options, indices, compared=[digits.card])
        assert warned not in notes(dataset=study["dataset"] | {"exclude": checked})
    cut = exclusions.write(tmp_path / "cut.parquet", digits, {"copies": 2}, [5])
    tuned = {"dataset": {"name": "digits", "copies": 2, "exclude": cut}}
    assert warned not in notes(dataset=study["dataset"] | {"exclude": checked}, finetune=study["finetune"] | tuned)
    assert warned not in notes(simulate={}), "nothing is trained"
    declared = {"title": "t", "train_examples": 100, "validation_examples": 9, "num_classes": 3, "image_shape": [32, 32, 1]}
    assert warned not in notes(dataset={"name": "declared", **declared})
    same = {"finetune": study["finetune"] | {"dataset": study["dataset"]}, "dataset": study["dataset"] | {"exclude": unchecked}}
    assert f"runs are fine-tuned on {whole.card.name}, on which they were pre-trained" in notes(**same)
    assert "never checked" not in notes(**same)
