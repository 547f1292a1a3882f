"""What `--a` and `--b` name: data sets of every format by their folder, folders of files in no order, names, and what a file would say."""

import pytest

from scaling.errors import DataError, DataNotFound, UsageError
from tests.trainer import pictures
from tests.trainer.test_data_formats import WRITERS
from trainer import data
from trainer.duplicates.opening import opened


@pytest.fixture(scope="module")
def images():
    return pictures.small_set()


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_opened_by_what_lies_in_it(name, images, tmp_path):
    folder = WRITERS[name](tmp_path, images)
    splits, dataset = opened(str(folder)), data.load(name, {"path": str(folder), "train_px": 24})
    assert {split: len(found) for split, found in splits.items()} == {"train": pictures.TRAIN, "validation": pictures.VALIDATION}
    assert {found.fingerprint for found in splits.values()} == {dataset.card.fingerprint}  # a list of it is of the study's data


def test_a_folder_that_says_too_little_is_to_be_written_out(images, tmp_path):
    folder = WRITERS["array_record"](tmp_path, images)
    (folder / "features.json").unlink()
    with pytest.raises(UsageError, match="how many classes") as raised:
        opened(str(folder))
    assert f"{{name: array_record, path: {folder}, train_px: 224, …}}" in raised.value.hint


def test_a_folder_of_files_in_no_order_is_one_split(images, tmp_path):
    folder = pictures.write_folder(tmp_path, images) or tmp_path
    (tmp_path / "train").rename(tmp_path / "photos")
    split = opened(str(folder))["images"]
    assert len(split) == pictures.TRAIN + pictures.VALIDATION
    assert split.id(0) == "photos/ant/000.png"
    assert split.label(0) == "photos"
    assert split.examples[0]["image"] == images["train"][0][1]

    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "one.jpg").write_bytes(images["train"][5][1])
    loose = opened(str(flat))["images"]
    assert (loose.id(0), loose.label(0)) == ("one.jpg", None)


def test_a_name_and_ones_own_factory_are_opened():
    assert len(opened("digits")["train"]) == data.card("digits", {}).train_examples
    assert len(opened("tests.trainer.small_run:dataset")["train"]) == 96
    assert len(opened('{source: "tests.trainer.small_run:dataset", seed: 1}')["validation"]) == 32


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("nowhere", DataNotFound, "no folder or data set 'nowhere'"),
        ("{name: digits, pth: x}", UsageError, "unknown key 'pth' of data set digits"),
        ("{name: [", UsageError, "is not YAML"),
        ("{path: x}", UsageError, "names no data set"),
        ("{name: digit}", UsageError, "digits"),
    ],
)
def test_what_names_nothing_is_refused_in_a_line(text, error, says):
    with pytest.raises(error) as raised:
        opened(text)
    assert says in str(raised.value) + str(raised.value.hint)
    assert raised.value.hint


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        opened(str(tmp_path))
