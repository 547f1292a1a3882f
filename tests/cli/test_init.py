"""`scaling init`: the files that it writes are accepted by `submit --dry-run`, the command that it prints works, and nothing is overwritten."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from analysis import read_runs
from analysis.reading.guess import guess
from analysis.reading.units import check_units
from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from scaling.cli.app import app
from scaling.errors import DataError, DataNotFound, UnknownName, UsageError

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "tests" / "reference"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_DB", str(tmp_path / "scaling.db"))


def told(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def images(folder, classes=3, each=12, size=(20, 26), *, mode="RGB", ending="png", splits=("",)):
    noise = np.random.default_rng(0)
    for split in splits:
        for kind in range(classes):
            place = Path(folder) / split / f"class {kind}"
            place.mkdir(parents=True)
            for number in range(each):
                pixels = noise.integers(0, 255, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(place / f"{number}.{ending}")
    return folder


def study(*words, file="experiments.yaml"):
    """What the file says that a command writes, after `submit --dry-run` has accepted it."""
    told("init", *words)
    assert "all can be used" in (shown := told("submit", file, "--dry-run")), shown
    return make_plan(*read_spec(file))


def test_without_a_word_it_is_the_default_study():
    told("init")
    assert Path("experiments.yaml").read_bytes() == (ROOT / "experiments.yaml").read_bytes()
    assert "all can be used" in told("submit", "experiments.yaml", "--dry-run")


def test_models_of_ones_own_come_with_their_module():
    """Planned in the folder itself, from which `submit` imports it: what the family says of its models is checked there."""
    told("init", "models", "-o", "own.yaml")
    assert Path("my_models.py").read_bytes() == (ROOT / "experiments" / "my_models.py").read_bytes()
    assert "all can be used" in told("submit", "own.yaml", "--dry-run")
    with pytest.raises(UsageError, match=r"my_models\.py is there already"):
        told("init", "models")
    assert not Path("experiments.yaml").exists()


def test_nothing_is_overwritten_without_force():
    Path("experiments.yaml").write_text("mine")
    Path("link.yaml").symlink_to("nowhere.yaml")
    for words in (["init"], ["init", "digits"], ["init", "-o", "link.yaml"]):
        with pytest.raises(UsageError, match="is there already") as error:
            told(*words)
        assert "--force" in error.value.hint
    assert Path("experiments.yaml").read_text() == "mine"
    told("init", "--force")
    assert Path("experiments.yaml").read_text().startswith("#")
    with pytest.raises(UsageError, match="cannot be written"):
        told("init", "-o", "no/such/folder.yaml")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["digits", "folder"], UsageError),
        (["models", "folder"], UsageError),
        (["images"], UsageError),
        (["table"], UsageError),
        (["table", "a.csv", "-o", "b.yaml"], UsageError),
        (["image", "folder"], UnknownName),
        (["images", "nowhere"], DataNotFound),
        (["table", "nowhere.csv"], DataNotFound),
    ],
)
def test_what_makes_no_sense_is_refused_and_writes_nothing(words, fault):
    with pytest.raises(fault) as error:
        told("init", *words)
    assert error.value.hint
    assert not any(Path().glob("*.yaml"))


def test_one_folder_a_class_is_split_by_a_share():
    plan = study("images", images("my pictures: é #1"))
    assert plan.spec.name == "my-pictures-1"
    assert (plan.card.num_classes, plan.card.image_shape) == (3, (16, 16, 3))
    assert plan.card.train_examples + plan.card.validation_examples == 36
    assert plan.card.validation_examples >= 3
    sizes = [run.params for run in plan.runs]
    assert max(sizes) >= 20 * min(sizes)
    assert len(plan.spec.epochs) == 5
    assert len(set(sizes)) == 4


@pytest.mark.parametrize(("held_out", "share"), [("val", None), ("test", None), (None, 0.3)])
def test_splits_that_are_there_are_used(held_out, share):
    folder = images("photos", classes=2, size=(48, 64), ending="jpg", splits=["train", *([held_out] if held_out else [])])
    plan = study("images", folder, "-o", "own.yaml", file="own.yaml")
    assert plan.spec.dataset.options.get("validation_share") == share
    assert plan.card.image_shape == (32, 32, 3)
    if held_out:
        assert (plan.card.train_examples, plan.card.validation_examples) == (24, 24)


def test_grey_and_small_images():
    plan = study("images", images("grey", size=(9, 9), mode="L"))
    assert plan.card.image_shape == (8, 8, 1)
    assert all(model.options["stem"] == "small" for model in plan.spec.models)


def test_an_image_that_cannot_be_read_is_skipped_in_training_and_named_where_it_is_held_out():
    folder = Path(images("photos", classes=2, splits=["train", "val"]))
    (folder / "train" / "class 0" / "3.png").write_bytes(b"no picture")
    told("init", "images", folder)
    assert read_spec("experiments.yaml")[0].execution.on_bad_example == "skip"
    assert "cannot be used and are skipped" in told("submit", "experiments.yaml", "--dry-run")
    (folder / "val" / "class 1" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"held-out image cannot be used: .*class 1/0\.png"):
        told("init", "images", folder, "--force")


@pytest.mark.parametrize("make", ["flat", "one class", "empty", "no pictures"])
def test_a_folder_of_something_else_is_refused(make):
    folder = Path("photos")
    folder.mkdir()
    if make == "flat":
        Image.new("RGB", (8, 8)).save(folder / "1.png")
    elif make == "one class":
        images(folder / "x", classes=1)
        folder = folder / "x"
    elif make == "no pictures":
        for kind in "ab":
            (folder / kind).mkdir()
            for number in range(8):
                (folder / kind / f"{number}.jpg").write_bytes(b"text")
    with pytest.raises(DataError) as error:
        told("init", "images", folder)
    assert error.value.hint
    assert not Path("experiments.yaml").exists()


def printed_commands(file):
    """The commands that `scaling init table` prints, and all that it prints."""
    text = told("init", "table", file)
    return [line for line in text.splitlines() if line.startswith("scaling ")], text


def test_a_table_of_other_names_and_units():
    commands, text = printed_commands(ROOT / "docs" / "example_study.csv")
    words = shlex.split(commands[0])
    assert words[:2] == ["scaling", "fit"]
    assert {"core_hours=wall_seconds", "core_hours=seconds*n_gpus", "val_loss=eval_loss", "params=weights", "epochs=passes"} <= set(
        words
    )
    assert {"family=arch", "model=network", "examples_seen=samples", "unique_examples=distinct_samples"} <= set(words)
    sentence = told(*words[1:]).splitlines()[0]
    assert f"# It says: {sentence}" in text


@pytest.mark.parametrize(
    ("head", "options"),
    [
        (
            "model,tpu_v4_core_hours,imagenet_top1_error_pct",
            {"--metric", "imagenet_top1_error_pct", "core_hours=tpu_v4_core_hours"},
        ),
        (
            "Model Size,Training FLOP,loss",
            {"--x", "train_flops", "train_flops=Training FLOP", "params=Model Size", "val_loss=loss"},
        ),
        ("N,D,C,L,Loss", {"params=N", "examples_seen=D", "train_flops=C", "val_loss=Loss"}),
        ("run,gpu_hours,val/loss,train/loss", {"core_hours=gpu_hours", "val_loss=val/loss"}),
        ("lr,runtime,final_loss", {"core_hours=runtime", "core_hours=seconds", "learning_rate=lr", "val_loss=final_loss"}),
        ("wall time (min),gpus,test_loss", {"core_hours=wall time (min)", "core_hours=minutes*gpus", "val_loss=test_loss"}),
        ("hours,loss (bits)", {"core_hours=hours", "val_loss=loss (bits)", "val_loss=bits"}),
        ("train_pflop,val_ppl", {"--metric", "val_ppl"}),
        ("gpu_hours,top1_accuracy", {"--metric", "top1_accuracy_error", "top1_accuracy=%"}),
        (
            "config.model.n_params,config.data.tokens,Runtime,summary.val/loss",
            {"params=config.model.n_params", "examples_seen=config.data.tokens", "core_hours=seconds", "val_loss=summary.val/loss"},
        ),
        ("core_hours,val_loss", set()),
    ],
)
def test_columns_are_known_by_their_names(head, options):
    names = head.split(",")
    rows = io.StringIO()
    for number in range(1, 7):
        print(
            ",".join(
                f"{(number if place + 1 < len(names) else 5) * 10.0 ** (place + 1) / number:g}" for place in range(len(names))
            ),
            file=rows,
        )
    Path("runs.csv").write_text(f"{head}\n{rows.getvalue()}")
    if "pflop" in head:
        Path("runs.csv").write_text(Path("runs.csv").read_text().replace("train_pflop", "train_flop"))
    found = guess(read_runs("runs.csv"))
    words = [*found.options, "--metric", found.metric, "--x", found.x]
    assert options <= set(words), words


@pytest.mark.parametrize("file", ["wandb_runs_table.csv", "mlflow_search_runs.csv", "wandb", "mlruns"])
def test_exports_of_trackers_are_read_by_what_is_guessed(file):
    found = guess(read_runs(REFERENCE / "exports" / file))
    runs = read_runs(
        REFERENCE / "exports" / file, found.mapping, check_units([f"{ours}={unit}" for ours, unit in found.units.items()])
    )
    assert {found.metric, *found.x.split(",")} <= set(runs)


def test_a_published_table_has_commands_that_run():
    commands = printed_commands(REFERENCE / "laws" / "nfnet_fig1_clean21.csv")[0]
    assert [shlex.split(command)[1] for command in commands] == ["fit", "predict", "plan"]
    assert told(*shlex.split(commands[0])[1:])


def test_where_nothing_can_be_guessed_the_columns_are_named():
    Path("runs.csv").write_text("a,b\n1,2\n2,3\n")
    with pytest.raises(DataError, match="looks like a loss") as error:
        told("init", "table", "runs.csv")
    assert "numbers are in a, b" in error.value.hint
    Path("runs.csv").write_text("a,loss\n1,2\n2,3\n")
    with pytest.raises(DataError, match="looks like compute") as error:
        told("init", "table", "runs.csv")
    assert "--x COLUMN" in error.value.hint
