"""`scaling dedup` from the command line: what it prints, the list, the page, and a study that leaves out what was found."""

import io
import json

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps
from typer.testing import CliRunner

from scaling.cli.app import app
from scaling.errors import DataNotFound, UsageError
from tests.trainer import pictures
from trainer import data
from trainer.data.exclusion import ExclusionList


def run(*words):
    result = CliRunner().invoke(app, ["dedup", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of which one in `val/` is a mirrored, smaller, re-encoded copy of one in `train/`, under another class; one is equal."""
    folder, images = tmp_path_factory.mktemp("study") / "photos", {"train": [], "val": []}
    for split, count, first in (("train", 8, 0), ("val", 4, 100)):
        images[split] = [(f"{k}.png", pictures.encoded(pictures.photo(96, 120, first + k), "PNG"), k % 2) for k in range(count)]
    original = Image.fromarray(pictures.photo(96, 120, 3))
    images["val"].append(("mirrored.jpg", pictures.encoded(np.asarray(ImageOps.mirror(original).resize((90, 72))), quality=80), 0))
    images["val"].append(("same.webp", pictures.encoded(pictures.photo(96, 120, 5), "WEBP", lossless=True), 1))
    pictures.write_folder(folder, images)
    return folder


@pytest.fixture(scope="module")
def found(folder, tmp_path_factory):
    """The answer in JSON, with its list and its page."""
    out = tmp_path_factory.mktemp("out")
    words = ("--a", folder, "-o", out / "list.parquet", "--report", out / "dup.html", "--work", out / "work", "--workers", "1")
    return json.loads(run(*words, "--json").stdout), out


def test_every_pair_is_printed_with_both_ids_and_the_rule(found):
    answer, _ = found
    said = {(pair["a"]["id"], pair["b"]["id"], pair["rule"], pair["orientation"]) for pair in answer["pairs"]}
    assert said == {
        ("train/bee/3.png", "val/ant/mirrored.jpg", "perceptual", "flipped"),
        ("train/bee/5.png", "val/bee/same.webp", "exact", "as is"),
    }
    assert [pair["a"]["label"] + pair["b"]["label"] for pair in answer["label_conflicts"]] == ["beeant"]
    assert [(part["a"]["split"], part["b"]["split"], part["pairs"]) for part in answer["checks"]] == [
        ("train", "validation", 2),
        ("train", "train", 0),
    ]


def test_the_list_names_the_training_images_and_a_study_leaves_them_out(found, folder):
    answer, out = found
    listed = ExclusionList.read(out / "list.parquet")
    assert [(row.id, row.partner, row.label, row.partner_label) for row in listed.rows] == [
        ("train/bee/3.png", "val/ant/mirrored.jpg", "bee", "ant"),
        ("train/bee/5.png", "val/bee/same.webp", "bee", "bee"),
    ]
    assert answer["excluded"] == [
        {"fingerprint": listed.rows[0].data, "split": "train", "images": 2, "left": 6},
    ]
    options = {"path": str(folder), "train_px": 32, "exclude": str(out / "list.parquet")}
    cut = data.load("imagefolder", options)
    assert cut.card.train_examples == 6
    assert "bee/3.png" not in [cut.train.name(index) for index in range(6)]


def test_the_page_shows_the_pairs_as_pictures(found):
    page = (found[1] / "dup.html").read_text()
    assert page.count("<img") == 4
    assert "train/bee/3.png" in page
    assert "labels bee and ant" in page
    assert "http" not in page.replace("http-equiv", "")
    picture = page.partition("base64,")[2].partition("'")[0]
    import base64

    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (120, 96)


@pytest.fixture(scope="module")
def study(folder, tmp_path_factory):
    """An experiments file on these photos that fine-tunes on others, one of which is a photo of pre-training."""
    home = tmp_path_factory.mktemp("file")
    later = {
        "train": [(f"{k}.png", pictures.encoded(pictures.photo(96, 120, 200 + k), "PNG"), k % 2) for k in range(6)],
        "val": [(f"{k}.png", pictures.encoded(pictures.photo(96, 120, 300 + k), "PNG"), k % 2) for k in range(3)],
    }
    later["val"].append(("taken.jpg", pictures.encoded(pictures.photo(96, 120, 6), quality=85), 1))
    pictures.write_folder(home / "flowers", later)
    content = {
        "name": "clean",
        "dataset": {"name": "imagefolder", "path": str(folder), "train_px": 32, "exclude": str(home / "list.parquet")},
        "models": ["nano-F0"],
        "epochs": [1],
        "batch_size": 4,
        "learning_rate": 0.1,
        "finetune": {
            "dataset": {"name": "imagefolder", "path": str(home / "flowers"), "train_px": 32},
            "epochs": 1,
            "learning_rate": 0.1,
            "from": "all",
        },
    }
    (home / "study.yaml").write_text(yaml.safe_dump(content))
    return home


def test_a_files_data_sets_are_compared_as_its_training_needs(study):
    output = run(study / "study.yaml", "-o", study / "list.parquet", "--work", study / "work", "--workers", "1").stdout
    assert "photos train against photos validation (8 × 6 images): 2 pairs (1 exact, 1 perceptual)" in output
    assert "photos train against flowers train (8 × 6 images): 0 pairs" in output
    assert "photos train against flowers validation (8 × 4 images): 1 pair (1 perceptual)" in output
    assert "flowers train against flowers validation (6 × 4 images): 0 pairs" in output
    assert "lists 3 images of the 8 in photos train" in output
    assert f"write `exclude: {study / 'list.parquet'}` into the `dataset:` of photos" in output
    listed = ExclusionList.read(study / "list.parquet")
    assert listed.checked(*(of for of in listed.names if of in listed.images))  # as `submit` asks
    assert {row.partner for row in listed.rows} == {"val/ant/mirrored.jpg", "val/bee/same.webp", "val/bee/taken.jpg"}


def test_nothing_found_is_a_record_that_it_was_looked_for(study, tmp_path):
    output = run("--a", study / "flowers", "-o", tmp_path / "none.parquet", "--work", tmp_path, "--workers", "1").stdout
    assert "lists no image" in output
    assert ExclusionList.read(tmp_path / "none.parquet").rows == ()


def test_a_list_of_other_data_is_left_as_it_is(found, study):
    listed = found[1] / "list.parquet"
    content = listed.read_bytes()
    with pytest.raises(UsageError, match="is a list for photos"):
        run("--a", study / "flowers", "-o", listed, "--work", study / "work", "--workers", "1")
    assert listed.read_bytes() == content


def test_without_a_name_two_data_sets_have_no_list(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = run("--a", study / "flowers", "--work", study / "work", "--workers", "1").stdout
    assert "no list was written: -o exclude.parquet writes one" in output
    assert not list(tmp_path.glob("*.parquet"))


@pytest.mark.parametrize("option", ["-o", "--report"])
@pytest.mark.parametrize(("place", "says"), [("nowhere/x", "is no folder"), (".", "is a folder")])
def test_a_file_that_cannot_be_written_is_refused_before_the_search(option, place, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        run("--a", "nothing-there", option, place)


def test_labels_of_all_copies_are_looked_at(tmp_path):
    image = pictures.encoded(pictures.photo(96, 96, 1), "PNG")
    other = pictures.encoded(pictures.photo(96, 96, 2), "PNG")
    pictures.write_folder(
        tmp_path / "twice", {"train": [("0.png", image, 0), ("1.png", other, 1)], "val": [("a.png", image, 0), ("b.png", image, 1)]}
    )
    answer = json.loads(run("--a", tmp_path / "twice", "--json", "--work", tmp_path / "work", "--workers", "1").stdout)
    assert [pair["b"]["id"] for pair in answer["label_conflicts"]] == ["val/bee/b.png"]


def test_a_folder_that_is_named_by_a_dot_and_has_classes_is_no_data_set_of_a_study(tmp_path, monkeypatch):
    image = pictures.encoded(pictures.photo(96, 96, 1), "PNG")
    for place in ("own/ant", "own/bee"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "0.png").write_bytes(image)
    monkeypatch.chdir(tmp_path / "own")
    for _ in range(2):  # the list that the first one writes is no data set
        output = run("--a", ".", "-o", "list.parquet", "--work", tmp_path / "work", "--workers", "1").stdout
    assert "list.parquet lists 1 image of the 2 in own images" in output
    assert "is no data set of a study" in output
    assert "to leave them out" not in output


def test_a_set_that_overlaps_wholly_says_that_nothing_would_be_left(folder, tmp_path):
    output = run("--a", folder, "--b", folder, "-o", tmp_path / "all.parquet", "--work", tmp_path, "--workers", "1").stdout
    assert "lists 8 images of the 8 in photos train: nothing would be left" in output
    assert "to leave them out" not in output


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ((), UsageError, "name an experiments file, or data sets by --a and --b"),
        (("--b", "digits"), UsageError, "--b needs --a"),
        (("x.yaml", "--a", "digits"), UsageError, "name one or the other"),
        (("--a", "nowhere"), DataNotFound, "no folder or data set 'nowhere'"),
        (("nowhere.yaml",), DataNotFound, "nowhere.yaml"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_line(words, error, says):
    with pytest.raises(error, match=says):
        CliRunner().invoke(app, ["dedup", *words], catch_exceptions=False)
