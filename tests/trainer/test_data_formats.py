"""Every format gives the same images, describes itself without reading them all, and notices what is wrong with it."""

import contextlib
import dataclasses
import io
import pickle
import shutil
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.errors import DataError, DataNotFound, UsageError
from tests.trainer import pictures
from tests.trainer.pictures import CLASSES, TRAIN, VALIDATION
from tests.trainer.protobuf_example import encode
from trainer import data
from trainer.data.dataset import BadExample
from trainer.data.tf_example import parse

WRITERS = {
    "imagefolder": pictures.write_folder,
    "parquet": pictures.write_parquet,
    "webdataset": pictures.write_tars,
    "array_record": lambda folder, images: pictures.write_array_records(folder, images, encode),
}
SIZES = {"train_px": 24, "eval_px": 32}


@pytest.fixture(scope="module")
def images():
    return pictures.small_set()


@pytest.fixture(scope="module")
def folders(images, tmp_path_factory):
    return {name: write(tmp_path_factory.mktemp(name), images) for name, write in WRITERS.items()}


@pytest.fixture
def folder(request, folders, tmp_path):
    """A copy of one format's folder, to be spoilt."""
    return shutil.copytree(folders[request.param], tmp_path / request.param)


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_images_from_every_format(name, images, folders):
    dataset = data.load(name, {"path": str(folders[name]), **SIZES})
    assert (dataset.card.train_examples, dataset.card.validation_examples, dataset.card.num_classes) == (TRAIN, VALIDATION, 3)
    assert (dataset.card.image_shape, dataset.card.eval_shape) == ((24, 24, 3), (32, 32, 3))
    assert not dataset.card.provisional
    for split, rows in ((dataset.train, images["train"]), (dataset.validation, images["val"])):
        again = pickle.loads(pickle.dumps(split))  # as a reader process gets it
        for index in (0, 7, len(rows) - 1, 3):
            _, content, label = rows[index]
            for source in (split, again):
                assert source[index] == {"image": content, "label": label, "id": index}


@pytest.mark.parametrize("name", WRITERS)
def test_the_card_is_of_the_content_not_of_the_place(name, folders, tmp_path, images):
    options = {"path": str(folders[name]), **SIZES}
    card = data.card(name, options)
    moved = shutil.copytree(folders[name], tmp_path / folders[name].name)
    assert data.card(name, options | {"path": str(moved)}) == card
    assert data.DataCard.from_dict(card.to_dict()) == card
    changed = {split: list(rows) for split, rows in images.items()}
    other_name, content, label = changed["train"][5]
    changed["train"][5] = (other_name, content[:-2] + b"\x00" + content[-2:], label)
    (tmp_path / "other").mkdir()
    other = data.card(name, options | {"path": str(WRITERS[name](tmp_path / "other", changed))})
    assert other.fingerprint != card.fingerprint
    with pytest.raises(DataError, match="train content of 64"):
        card.require(other)
    card.require(dataclasses.replace(card))


def test_a_data_set_that_lost_an_image_is_told_by_count_and_part(folders, tmp_path):
    options = {"path": str(folders["imagefolder"]), **SIZES}
    card = data.card("imagefolder", options)
    moved = shutil.copytree(folders["imagefolder"], tmp_path / "moved")
    next((moved / "train" / "bee").iterdir()).unlink()
    with pytest.raises(DataError, match="train images: 21 then, 20 now"):
        card.require(data.card("imagefolder", options | {"path": str(moved)}))


def test_one_folder_with_a_share_held_out(images, tmp_path):
    pictures.write_folder(tmp_path, {"": images["train"]})
    options = {"path": str(tmp_path), "train_px": 24, "validation_share": 0.4}
    dataset = data.load("imagefolder", options)
    inside = {split.name(k) for split in (dataset.train, dataset.validation) for k in range(len(split))}
    assert len(inside) == len(dataset.train) + len(dataset.validation) == TRAIN
    held_out = {dataset.validation.name(k) for k in range(len(dataset.validation))}
    (tmp_path / "cat" / "new.jpg").write_bytes(images["train"][3][1])
    more = data.load("imagefolder", options)
    assert {more.validation.name(k) for k in range(len(more.validation))} - {"cat/new.jpg"} == held_out
    for wrong in (None, 0, 1.0, "half"):
        with pytest.raises((UsageError, DataError), match=r"validation_share|no train/"):
            data.load("imagefolder", options | {"validation_share": wrong})


@pytest.mark.parametrize("name", WRITERS)
def test_options_that_do_not_fit(name, folders, tmp_path):
    options = {"path": str(folders[name]), **SIZES}
    if name == "webdataset":  # a tar does not name its classes: the last ones may have no image
        assert data.card(name, options | {"num_classes": 4}).num_classes == 4
    else:
        with pytest.raises(UsageError, match=r"num_classes is 4, but .* has 3 classes"):
            data.card(name, options | {"num_classes": 4})
    assert data.card(name, options | {"num_classes": 3}) == data.card(name, options)
    for change, match in (({"train_px": 0}, "train_px: 0"), ({"eval_px": 2.5}, "eval_px"), ({"channels": 2}, "channels")):
        with pytest.raises(UsageError, match=match):
            data.card(name, options | change)
    with pytest.raises(UsageError, match="train_px is missing"):
        data.card(name, {"path": str(folders[name])})
    with pytest.raises(DataNotFound, match="there is no folder"):
        data.card(name, options | {"path": str(tmp_path / "nowhere")})
    with pytest.raises((DataNotFound, DataError), match="has no"):
        data.card(name, options | {"path": str(tmp_path)})


@pytest.mark.parametrize("folder", ["imagefolder"], indirect=True)
def test_folders_that_are_wrong(folder, tmp_path):
    options = {"path": str(folder), **SIZES}
    (folder / "train" / "dog").mkdir()
    with pytest.raises(DataError, match="dog holds no images"):
        data.card("imagefolder", options)
    (folder / "train" / "dog").rmdir()
    (folder / "val" / "dog").mkdir()
    with pytest.raises(DataError, match=r"classes that .* has not: dog"):
        data.card("imagefolder", options)
    (folder / "val" / "dog").rmdir()
    (folder / "train" / "Cat").mkdir()
    with pytest.raises(DataError, match="several folders called 'cat'"):
        data.card("imagefolder", options)


@pytest.mark.parametrize("folder", ["webdataset"], indirect=True)
def test_tars_that_are_wrong(folder):
    options = {"path": str(folder), **SIZES}
    data.card("webdataset", options)
    assert list((folder / ".scaling-index").glob("*.npz"))
    with tarfile.open(folder / "train-9999.tar", "w") as tar:
        tar.add(__file__, "900.jpg")
    with pytest.raises(DataError, match="has no label"):
        data.card("webdataset", options)
    for label in ("9" * 30, str(2**31), '{"label": 1e400}', "[" * 100_000):
        with tarfile.open(folder / "train-9999.tar", "w") as tar:
            tar.add(__file__, "900.jpg")
            info = tarfile.TarInfo("900.cls" if label.isdigit() else "900.json")
            info.size = len(label)
            tar.addfile(info, io.BytesIO(label.encode()))
        with pytest.raises(DataError, match="has no label"):
            data.card("webdataset", options)
    shutil.copy(folder / "train-0000.tar", folder / "train-9999.tar")
    with pytest.raises(DataError, match=r"'000' is in train-0000\.tar and again in train-9999\.tar"):
        data.card("webdataset", options)
    content = (folder / "train-0000.tar").read_bytes()
    (folder / "train-9999.tar").unlink()
    (folder / "train-0000.tar").write_bytes(content[:1500])
    with pytest.raises(DataError, match=r"cut short|not a readable tar"):
        data.card("webdataset", options)


@pytest.mark.parametrize("folder", ["parquet"], indirect=True)
def test_parquet_that_is_wrong(folder, images):
    options = {"path": str(folder), **SIZES}
    with pytest.raises(UsageError, match="no column picture among image, label"):
        data.card("parquet", options | {"image_column": "picture"})
    with pytest.raises(UsageError, match="in both splits"):
        data.card("parquet", options | {"train": "*.parquet"})
    (folder / "train-00000-of-00002.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="not a Parquet file"):
        data.card("parquet", options)


def parquet_of(folder, images, labels, **types):
    """`labels[split](k)` is the label of image k; `types[split]` its Arrow type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split, rows in images.items():
        column = pa.array([labels[split](k) for k in range(len(rows))], types.get(split))
        table = pa.table({"image": [{"bytes": content, "path": name} for name, content, _ in rows], "label": column})
        pq.write_table(table, folder / f"{'validation' if split == 'val' else split}.parquet")
    return {"path": str(folder), **SIZES}


NAMES = ("bee", "ant", "cat")


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_parquet_with_text_labels(kind, images, tmp_path):
    import pyarrow as pa

    made = pa.dictionary(pa.int8(), pa.string()) if kind == "dictionary" else getattr(pa, kind)()
    by_name = {"train": lambda k: NAMES[k % 3], "val": lambda k: NAMES[k % 2]}
    dataset = data.load("parquet", parquet_of(tmp_path, images, by_name, train=made, val=made))
    assert dataset.card.num_classes == 3
    for split, key in ((dataset.train, "train"), (dataset.validation, "val")):
        assert [split[k]["label"] for k in range(len(split))] == [sorted(NAMES).index(by_name[key](k)) for k in range(len(split))]
    missing = parquet_of(tmp_path, images, {split: lambda k: None if k == 5 else NAMES[k % 3] for split in images})
    with pytest.raises(BadExample, match="the row has no label"):
        data.load("parquet", missing).train[5]
    other = parquet_of(tmp_path, images, {split: lambda k: {"ant": "fly"}.get(NAMES[k % 3], NAMES[k % 3]) for split in images})
    assert data.card("parquet", other).fingerprint != dataset.card.fingerprint


@pytest.mark.parametrize("kind", ["int8", "uint8", "uint64", "float32", "bool_"])
def test_parquet_with_numbers_of_any_type(kind, images, tmp_path):
    import pyarrow as pa

    made = getattr(pa, kind)()
    by_number = {split: (lambda k: k % 2 == 1) if kind == "bool_" else (lambda k: k % 3) for split in images}
    found = data.load("parquet", parquet_of(tmp_path, images, by_number, train=made, val=made))
    assert found.train.labels.tolist() == [int(by_number["train"](k)) for k in range(TRAIN)]
    assert found.train.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("train", "val", "reason"),
    [
        (lambda k: [k % 3], lambda k: [k % 3], r"a label is list<.*neither a whole number nor text"),
        (lambda k: k + 0.5, lambda k: k, r"a label is no class number: .*truncated"),
        (lambda k: k % 2 + 2**40, lambda k: k % 2, r"a label is no class number: "),
        (lambda k: NAMES[k % 2], lambda k: NAMES[k % 3], r"labels that the training split has not: 'cat'"),
        (lambda k: NAMES[k % 2], lambda k: k % 2, r"the labels of one split are text, those of the other are numbers"),
        (lambda k: k % 2, lambda k: NAMES[k % 2], r"the labels of one split are text, those of the other are numbers"),
    ],
)
def test_parquet_labels_that_are_none_are_refused_in_one_line(train, val, reason, images, tmp_path):
    with pytest.raises(DataError, match=reason) as caught:
        data.card("parquet", parquet_of(tmp_path, images, {"train": train, "val": val}))
    assert "\n" not in str(caught.value)


def test_parquet_files_that_do_not_agree_or_are_damaged(images, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    options = parquet_of(tmp_path, images, {split: lambda k: k % 3 for split in images})
    sound = (tmp_path / "train.parquet").read_bytes()
    pq.write_table(pa.table({"image": [b"x"], "kind": [1]}), tmp_path / "train.two.parquet")
    with pytest.raises(DataError, match=r"train.two.parquet cannot be read: .*label"):
        data.card("parquet", options)
    pq.write_table(pa.table({"image": [b"x"], "label": ["ant"]}), tmp_path / "train.two.parquet")
    with pytest.raises(DataError, match=r"text here and numbers there"):
        data.card("parquet", options)
    (tmp_path / "train.two.parquet").unlink()
    (tmp_path / "train.parquet").write_bytes(sound[:4] + b"\xff" * 20_000 + sound[20_004:])
    with pytest.raises(DataError, match=r"train.parquet cannot be read: "):
        data.load("parquet", options)


def test_an_example_without_an_image_is_left_to_the_run(images, tmp_path):
    """It may be among those that the fingerprint covers, and ended `submit` with a traceback."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split, rows in images.items():
        column = [{"bytes": None if k == 3 else content, "path": name} for k, (name, content, _) in enumerate(rows)]
        table = pa.table({"image": column, "label": [label for *_, label in rows]})
        pq.write_table(table, tmp_path / f"{'validation' if split == 'val' else split}.parquet")
    dataset = data.load("parquet", {"path": str(tmp_path), **SIZES})
    with pytest.raises(BadExample, match="the row has no image bytes"):
        dataset.train[3]


@pytest.mark.parametrize("folder", ["array_record"], indirect=True)
def test_array_records_that_are_wrong(folder):
    options = {"path": str(folder), **SIZES}
    (folder / "features.json").unlink()
    with pytest.raises(UsageError, match="does not say how many classes"):
        data.card("array_record", options)
    (folder / "label.labels.txt").write_text("\n".join(CLASSES) + "\n")
    assert data.card("array_record", options).num_classes == 3
    (folder / "set-train.array_record-00000-of-00001").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not an ArrayRecord file"):
        data.card("array_record", options)


def test_a_default_spelt_out_makes_no_other_run():
    assert data.significant("imagefolder", {"path": "a", "train_px": 24, "eval_px": 24, "channels": 3}) == {
        "path": "a",
        "train_px": 24,
    }
    assert data.significant("imagefolder", {"train_px": 24, "eval_px": 32}) == {"train_px": 24, "eval_px": 32}
    assert data.significant("source", {"source": "a:b", "n": 3}) == {"source": "a:b", "n": 3}


_VALUES = st.one_of(
    st.lists(st.binary(max_size=300), min_size=1, max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=12), _VALUES, max_size=4))
def test_tf_examples_as_the_protobuf_library_writes_them(features):
    assert parse(encode(features)) == features


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_example_are_refused_and_never_more(junk):
    with contextlib.suppress(ValueError):
        assert isinstance(parse(junk), dict)
    with pytest.raises(ValueError, match=r"not a tf.train.Example"):
        parse(encode({"image": [b"x" * 50]})[:-5])


def test_labels_are_seen_before_training_where_a_format_tells_them(images, tmp_path):
    rows = [*images["train"][:5], ("zzz.jpg", images["train"][3][1], 7)]
    pictures.write_tars(tmp_path, {"train": rows, "val": images["val"]})
    with pytest.raises(DataError, match=r"train example 5 \(train-0000.tar: zzz.jpg\) has label 7, not one of 0 … 2"):
        data.card("webdataset", {"path": str(tmp_path), "num_classes": 3, **SIZES})
    assert np.array_equal(data.load("webdataset", {"path": str(tmp_path), **SIZES}).train.labels[-1:], [7])


@pytest.mark.parametrize("folder", ["webdataset"], indirect=True)
def test_an_index_of_tars_that_is_damaged_is_built_again(folder):
    options = {"path": str(folder), **SIZES}
    sound = data.card("webdataset", options)
    path = min((folder / ".scaling-index").glob("train-*.npz"))
    whole = path.read_bytes()
    with np.load(path) as stored:
        columns = dict(stored)
    for content in (
        b"",
        b"no zip",
        *(whole[:at] for at in range(1, len(whole), 211)),
        *(_spoilt(whole, at) for at in range(0, len(whole), 97)),
    ):
        path.write_bytes(content)
        assert data.card("webdataset", options) == sound
    np.savez(path, **columns | {"sizes": columns["sizes"][1:]})
    assert data.card("webdataset", options) == sound
    assert path.read_bytes() == whole


def _spoilt(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
