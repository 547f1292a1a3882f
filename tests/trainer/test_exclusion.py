"""Lists of images that are left out of training: what remains is checked against the whole data set, cut by hand."""

import dataclasses
import os
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scaling.errors import DataError, DataNotFound, UsageError
from tests.trainer import exclusions, pictures
from tests.trainer.test_data_formats import SIZES, WRITERS
from tests.trainer.test_train import make_config
from trainer import DataConfig, data
from trainer.data.exclusion import ExclusionList, ExclusionRow
from trainer.data.ids import ids_of
from trainer.data.kept import left_out, uncut
from trainer.data.loader import open_loader
from trainer.execution import Execution

OUT = [20, 3, 3, 0, 11]
KEPT = [index for index in range(pictures.TRAIN) if index not in OUT]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    images = pictures.small_set()
    return {name: str(write(tmp_path_factory.mktemp(name), images)) for name, write in WRITERS.items()}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits, and a list of ten of them."""
    dataset = data.load("digits", {})
    return dataset, exclusions.write(tmp_path_factory.mktemp("list") / "ten.parquet", dataset, {}, range(5, 15))


@pytest.mark.parametrize("name", WRITERS)
def test_what_remains_is_the_data_set_cut_by_hand(name, folders, tmp_path):
    options = {"path": folders[name], **SIZES}
    whole = data.load(name, options)
    cut = data.load(name, options | {"exclude": exclusions.write(tmp_path / "list.parquet", whole, options, OUT)})
    for split in (cut.train, pickle.loads(pickle.dumps(cut.train))):
        assert len(split) == cut.card.train_examples == len(KEPT)
        for number, index in enumerate(KEPT):
            assert split[number] == whole.train[index] | {"id": number}
            assert split.name(number) == whole.train.name(index)
            assert split.read(number) == whole.train.read(index)
    for array in ("sizes", "labels"):
        if hasattr(whole.train, array):
            assert np.array_equal(getattr(cut.train, array), getattr(whole.train, array)[KEPT])
        else:
            assert not hasattr(cut.train, array)
    assert len(cut.validation) == cut.card.validation_examples == pictures.VALIDATION
    assert [cut.validation[index] for index in range(9)] == [whole.validation[index] for index in range(9)]
    assert cut.card.corrections == whole.card.corrections
    assert (uncut(cut.card), left_out(cut.card)) == (whole.card.fingerprint, 4)
    assert (uncut(whole.card), left_out(whole.card)) == (whole.card.fingerprint, 0)


def test_arrays_in_memory_stay_one_indexing_operation_a_batch(digits):
    whole, listed = digits
    cut = data.load("digits", {"exclude": listed})
    kept = np.delete(np.arange(1347), np.arange(5, 15))
    assert isinstance(cut.train, data.ArrayExamples)
    for split in (cut.train, pickle.loads(pickle.dumps(cut.train))):
        asked = np.array([1336, 0, 5, 5])
        images, labels, ids = split.gather(asked)
        there = whole.train.gather(kept[asked])
        assert np.array_equal(images, there[0])
        assert np.array_equal(labels, there[1])
        assert ids.tolist() == asked.tolist()
        assert split[7]["id"] == 7
        assert np.array_equal(split[7]["image"], whole.train[17]["image"])


def test_every_kept_image_is_used_once_an_epoch(digits):
    config = make_config(
        data=DataConfig("digits", data.card("digits", {"exclude": digits[1]}), {"exclude": digits[1]}), batch_size=64
    )
    cut = data.load("digits", config.data.options)
    with open_loader(cut.train, config=config, order=data.Order.of(config), execution=Execution()) as batches:
        first = [batch.entered for batch in batches]
    used = np.concatenate(first)[:1337]
    assert sorted(used.tolist()) == list(range(1337))


def test_an_id_that_is_not_the_one_asked_for_stays_so(digits):
    class Astray(data.ArrayExamples):
        def __getitem__(self, index):
            return super().__getitem__(index) | {"id": index + 2}

        def gather(self, ids):
            images, labels, came = super().gather(ids)
            return images, labels, came + 2

    whole, listed = digits
    astray = Astray(np.zeros((1347, 8, 8, 1), np.uint8), np.zeros(1347, int), full_scale=1.0, mean=0.0, std=1.0)
    from trainer.data.kept import excluded

    cut = excluded(dataclasses.replace(whole, train=astray), {}, ExclusionList.read(listed)).train
    assert cut[100]["id"] == 102
    assert cut.gather(np.array([100]))[2].tolist() == [102]


def test_ids_are_paths_names_or_numbers(folders, tmp_path):
    def first(name, options, split="train"):
        return ids_of(options, getattr(data.load(name, options), split))(0)

    assert first("imagefolder", {"path": folders["imagefolder"], **SIZES}) == "train/ant/000.png"
    assert first("imagefolder", {"path": folders["imagefolder"], **SIZES}, "validation") == "val/ant/000.png"
    below = {"path": f"{folders['imagefolder']}/train", "validation_share": 0.4, **SIZES}
    assert first("imagefolder", below) in {"ant/000.png", "ant/001.webp", "ant/002.jpg", "ant/003.jpg"}
    assert first("webdataset", {"path": folders["webdataset"], **SIZES}) == "train-0000.tar: 000.png"
    assert first("parquet", {"path": folders["parquet"], **SIZES}).endswith(", row 0")
    assert first("digits", {}) == "0"
    odd = pictures.write_folder(tmp_path, pictures.small_set())
    os.rename(odd / "train" / "ant" / "000.png", os.fsencode(odd / "train" / "ant") + b"/\xff.png")
    options = {"path": str(odd), **SIZES}
    whole = data.load("imagefolder", options)
    last = next(number for number in range(21) if not whole.train.name(number).isascii())
    assert ids_of(options, whole.train)(last) == "train/ant/\\udcff.png"
    cut = data.load("imagefolder", options | {"exclude": exclusions.write(tmp_path / "l.parquet", whole, options, [last])})
    assert all(cut.train.name(number).isascii() for number in range(20))


def test_a_data_set_of_ones_own(tmp_path):
    options = {"source": "tests.trainer.small_run:dataset"}
    whole = data.load("source", options)
    listed = exclusions.write(tmp_path / "list.parquet", whole, options, [0, 95])
    cut = data.load("source", options | {"exclude": listed})
    assert cut.card.train_examples == 94
    assert np.array_equal(cut.train[0]["image"], whole.train[1]["image"])


def config_of(options):
    return make_config(data=DataConfig("digits", data.card("digits", options), options))


def test_the_rows_are_part_of_the_fingerprint_and_their_order_is_not(digits, tmp_path):
    whole, _ = digits

    def config(name, indices, **other):
        return config_of({"exclude": exclusions.write(tmp_path / name, whole, {}, indices, **other)})

    first = config("a.parquet", [1, 2, 3])
    assert config("b.parquet", [3, 1, 2]).run_id() == first.run_id() != config_of({}).run_id()
    others = [
        config("c.parquet", [1, 2, 4]),
        config("d.parquet", [1, 2, 3], rule="perceptual"),
        config("e.parquet", [1, 2, 3], distance=0.1),
        config("f.parquet", [1, 2, 3], partner="7"),
    ]
    assert len({found.data.card.fingerprint for found in (first, *others)}) == 5
    assert len({found.run_id() for found in (first, *others)}) == 5
    with pytest.raises(DataError, match="excluded images: 3 then, none now"):
        first.data.card.require(whole.card)
    with pytest.raises(DataError, match=r"exclusion list: [0-9a-f]{16} then, [0-9a-f]{16} now"):
        first.data.card.require(others[0].data.card)


def test_a_list_that_found_nothing_changes_nothing(digits, tmp_path):
    whole, _ = digits
    nothing = {"exclude": exclusions.write(tmp_path / "none.parquet", whole, {}, [])}
    held_out = {"exclude": exclusions.write(tmp_path / "held-out.parquet", whole, {}, [4], split="validation")}
    for options in (nothing, held_out):
        assert data.card("digits", options) == whole.card
        assert config_of(options).run_id() == config_of({}).run_id()


def test_a_list_is_read_as_it_was_written(digits, tmp_path):
    whole, listed = digits
    card, found = whole.card, ExclusionList.read(listed)
    rows = tuple(exclusions.row(whole, {}, index) for index in range(5, 15))
    checks = (((card.fingerprint, "train"), (card.fingerprint, "validation")),)
    assert found == ExclusionList(rows, checks, {card.fingerprint: "digits"}, {card.fingerprint: 1347})
    labelled = [dataclasses.replace(rows[0], label=3, partner_label="cat")]
    ExclusionList(tuple(labelled), (), {}).write(tmp_path / "labelled.parquet")
    (row,) = ExclusionList.read(tmp_path / "labelled.parquet").rows
    assert (row.label, row.partner_label) == ("3", "cat")
    assert pq.read_table(listed).num_rows == 10
    assert pq.read_table(listed).column_names == [field.name for field in dataclasses.fields(ExclusionRow)]
    assert os.listdir(os.path.dirname(listed)) == ["ten.parquet"]


def test_a_list_of_somebodys_own_needs_the_columns_alone(digits, tmp_path):
    _, listed = digits
    pq.write_table(pq.read_table(listed).replace_schema_metadata(None), tmp_path / "own.parquet")
    assert data.card("digits", {"exclude": str(tmp_path / "own.parquet")}) == data.card("digits", {"exclude": listed})


def spoilt(tmp_path, listed, **columns):
    table = pq.read_table(listed)
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, tmp_path / "list.parquet")


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (lambda path, listed: None, DataNotFound, "there is no file"),
        (lambda path, listed: (path / "list.parquet").write_text("id\n1\n"), DataError, "is not a Parquet file"),
        (lambda path, listed: (path / "list.parquet").mkdir(), DataNotFound, "there is no file"),
        (
            lambda path, listed: pq.write_table(pa.table({"id": ["1"], "why": [2]}), path / "list.parquet"),
            DataError,
            r"no list of images to leave out: its columns are id \(string\), why \(int64\), and not data \(string\), split",
        ),
        (lambda path, listed: spoilt(path, listed, index=[["x"] * 10]), DataError, "no list of images to leave out"),
        (
            lambda path, listed: pq.write_table(pq.read_table(listed)[:0].replace_schema_metadata(None), path / "list.parquet"),
            DataError,
            "is empty, and says of no data that they were compared",
        ),
        (
            lambda path, listed: pq.write_table(
                pq.read_table(listed).replace_schema_metadata({"scaling.exclusion": '{"format": 2}'}), path / "list.parquet"
            ),
            DataError,
            "was written by a later version",
        ),
        (
            lambda path, listed: pq.write_table(
                pq.read_table(listed).replace_schema_metadata({"scaling.exclusion": "{"}), path / "list.parquet"
            ),
            DataError,
            "its metadata are damaged",
        ),
        (
            lambda path, listed: spoilt(path, listed, index=[range(1340, 1350)]),
            DataError,
            r"calls training image 1340 of digits '5', here it is '1340'",
        ),
        (
            lambda path, listed: spoilt(path, listed, index=[range(1347, 1357)]),
            DataError,
            r"names training image 1347 \(5\) of digits, which has 1,347",
        ),
        (lambda path, listed: spoilt(path, listed, index=[[-1] * 10]), DataError, "names training image -1"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_used_is_one_line(spoil, kind, said, digits, tmp_path):
    spoil(tmp_path, digits[1])
    for ask in (data.card, data.load):
        with pytest.raises(kind, match=said) as caught:
            ask("digits", {"exclude": str(tmp_path / "list.parquet")})
        assert "list.parquet" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.hint


def test_a_list_of_another_data_set_names_both(digits, folders, tmp_path):
    whole, listed = digits
    options = {"path": folders["imagefolder"], **SIZES}
    name, card = os.path.basename(folders["imagefolder"]), data.card("imagefolder", options)
    with pytest.raises(DataError) as caught:
        data.card("imagefolder", options | {"exclude": listed})
    assert str(caught.value).endswith(f"is of digits ({whole.card.fingerprint}), not of {name} ({card.fingerprint})")
    with pytest.raises(DataError, match=r"is of digits with 1,347 training images, here are 1,200"):
        data.card("digits", {"exclude": listed, "validation_examples": 597})
    both = exclusions.write(tmp_path / "both.parquet", data.load("imagefolder", options), options, [1], compared=[whole.card])
    assert data.card("imagefolder", options | {"exclude": both}).train_examples == 20
    assert data.card("digits", {"exclude": both}) == whole.card


def test_a_list_that_leaves_nothing_and_a_data_set_without_images(digits, tmp_path):
    whole, listed = digits
    everything = exclusions.write(tmp_path / "all.parquet", whole, {}, range(1347))
    with pytest.raises(DataError, match="leaves none of the 1,347 training images of digits"):
        data.card("digits", {"exclude": everything})
    with pytest.raises(UsageError, match="only declared has no images to leave out"):
        data.card("declared", {"exclude": listed})
    for wrong in (None, "", 3, ["a.parquet"]):
        with pytest.raises(UsageError, match="is not the name of a file"):
            data.card("digits", {"exclude": wrong})
