"""Data sets: real digits, IDX files good and bad, declared and user's own."""

import gzip
import struct

import numpy as np
import pytest
import sklearn.datasets

from scaling.errors import DataError, DataNotFound, UnknownName, UsageError
from trainer import data
from trainer.data import distort, permute
from trainer.data.idx import read_idx
from trainer.data.images.preparation import Preparation


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    (gzip.open if path.suffix == ".gz" else open)(path, "wb").write(header + array.tobytes())


@pytest.fixture
def idx_folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("t10k", 8)):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte", rng.integers(0, 256, (count, 6, 5), np.uint8))
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    return tmp_path


def test_digits_are_real_and_split_once_for_all():
    digits = data.load("digits", {})
    assert (len(digits.train), len(digits.validation)) == (1347, 450)
    images, labels, _ = digits.train.gather(np.arange(1347))
    held_out, _, _ = digits.validation.gather(np.arange(450))
    assert images.dtype == np.float32
    assert images.shape == (1347, 8, 8, 1)
    assert abs(images.mean()) < 0.02
    assert images.std() == pytest.approx(1, abs=0.02)
    assert min(np.bincount(labels)) > 120
    seen = {image.tobytes() for image in images}
    assert sum(image.tobytes() in seen for image in held_out) == 0
    assert digits.card == data.card("digits", {})
    with pytest.raises(UsageError, match="1797 images"):
        data.card("digits", {"validation_examples": 1797})
    with pytest.raises(UsageError, match="450"):
        data.card("digits", {"validation_examples": 450.5})


def test_digits_are_those_of_scikit_learn():
    """Read by a library that this project does not use, in the same order; and their fingerprint, part of run ids, is that of version 0.1.0."""
    theirs = sklearn.datasets.load_digits()
    digits = data.load("digits", {})
    held_out = permute(np.arange(1797), 1797, (1797,))[:450]
    images, labels, _ = digits.validation.gather(np.arange(450))
    np.testing.assert_array_equal(labels, theirs.target[held_out])
    np.testing.assert_allclose(images[..., 0] * 0.376 + 0.305, theirs.images[held_out] / 16, atol=1e-6)
    assert digits.card.fingerprint == "37d1610da92ad92a"


def test_distorted_copies_stand_in_place_of_the_digits():
    options = {"validation_examples": 597, "copies": 3, "validation_copies": 2}
    plain, copied = (data.load("digits", chosen) for chosen in ({"validation_examples": 597}, options))
    assert (
        (copied.card.train_examples, copied.card.validation_examples) == (len(copied.train), len(copied.validation)) == (3600, 1194)
    )
    assert copied.card == data.card("digits", options) != plain.card
    assert len({copied.card.fingerprint, plain.card.fingerprint, data.card("digits", options | {"copies": 4}).fingerprint}) == 3
    originals, labels, _ = plain.train.gather(np.arange(1200))
    copies, copied_labels, _ = copied.train.gather(np.arange(3600))
    np.testing.assert_array_equal(copied_labels, np.tile(labels, 3))
    assert len({image.tobytes() for image in copies}) == 3600
    # A copy is the digit of its label: the original that is nearest to it is of the same class. And it is not the original.
    distances = ((copies[:1200, None] - originals[None]) ** 2).mean((2, 3, 4))
    assert (labels[distances.argmin(1)] == labels).mean() > 0.95
    assert 0.02 < np.median(distances.diagonal()) < 0.5
    again, _, _ = data.load("digits", options).train.gather(np.arange(3600))
    np.testing.assert_array_equal(again, copies)


@pytest.mark.parametrize("copies", [0, -1, 1001, 2.5, True, "3"])
def test_how_many_copies_is_a_whole_number(copies):
    with pytest.raises(UsageError, match="copies"):
        data.card("digits", {"copies": copies})


def test_distortion_without_amplitude_is_the_image_and_a_shift_moves_it(monkeypatch):
    image = np.zeros((1, 5, 5))
    image[0, 2, 2] = 1.0
    for name in ("_TURN", "_SCALE", "_ASPECT", "_SHEAR", "_NOISE", "_MOVE"):
        monkeypatch.setattr(distort, name, 0.0)
    np.testing.assert_array_equal(distort.distorted(image, copies=2, key=1), np.repeat(np.rint(255 * image), 2, axis=0))
    monkeypatch.setattr(distort, "_MOVE", 0.2)  # at most a pixel of five
    moved = distort.distorted(image, copies=500, key=1) / 255
    down, right = ((np.arange(5) * moved.sum(axis)).sum(1) / moved.sum((1, 2)) - 2 for axis in (2, 1))
    assert abs(down).max() <= 1.01
    assert abs(right).max() <= 1.01
    assert down.std() == pytest.approx(1 / np.sqrt(3), abs=0.05)
    assert moved.sum((1, 2)) == pytest.approx(1, abs=0.02)  # nothing of the point is lost between pixels


def test_idx_files_plain_and_gzipped_are_one_data_set(idx_folder, tmp_path_factory):
    zipped = tmp_path_factory.mktemp("zipped")
    for path in idx_folder.iterdir():
        (zipped / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    cards = [data.card("mnist", {"path": str(folder)}) for folder in (idx_folder, zipped)]
    assert cards[0] == cards[1]
    assert (cards[0].train_examples, cards[0].validation_examples, cards[0].image_shape) == (20, 8, (6, 5, 1))
    example = data.load("mnist", {"path": str(zipped)}).train[3]
    assert (example["id"], example["label"], example["image"].shape) == (3, 3, (6, 5, 1))


def test_idx_images_of_some_classes_are_a_data_set_of_their_own(idx_folder):
    """Labels become places in the list; whatever is not in it is in neither split. All classes in their order are the whole set."""
    path = {"path": str(idx_folder)}
    whole, some = data.load("mnist", path), data.load("mnist", path | {"classes": [7, 2, 4]})
    assert (some.card.num_classes, some.card.train_examples, some.card.validation_examples) == (3, 6, 3)
    assert [example["label"] for example in (some.train[k] for k in range(6))] == [1, 2, 0, 1, 2, 0]
    np.testing.assert_array_equal(some.train[2]["image"], whole.train[7]["image"])
    assert some.card == data.card("mnist", path | {"classes": [7, 2, 4]})
    others = [data.card("mnist", path | {"classes": kept}).fingerprint for kept in ([2, 7, 4], [2, 4])]
    assert len({whole.card.fingerprint, some.card.fingerprint, *others}) == 4
    all_of_them = path | {"classes": list(range(10))}
    assert data.card("mnist", all_of_them) == whole.card
    assert data.significant("mnist", all_of_them) == path


@pytest.mark.parametrize("classes", [[1], [1, 1], [0, 10], [0, -1], [0, True], "01", 3, [0, "1"], [[0], [1]]])
def test_classes_of_idx_files_are_a_list_of_labels(idx_folder, classes):
    with pytest.raises(UsageError, match=r"classes: .* is not a list of two or more of the labels 0 … 9"):
        data.card("mnist", {"path": str(idx_folder), "classes": classes})


def test_idx_images_are_resized_whole(tmp_path):
    """Where a size is asked for: no margin is cut off, as objects fill these images to their edges."""
    image = np.zeros((8, 8), np.uint8)
    image[:, 6:] = 255
    for split in ("train", "t10k"):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte", np.stack([image] * 4))
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte", np.arange(4, dtype=np.uint8))
    dataset = data.load("mnist", {"path": str(tmp_path), "train_px": 4, "eval_px": 16})
    card = dataset.card
    assert (card.image_shape, card.eval_shape, card.evaluation_margin_px) == ((4, 4, 1), (16, 16, 1), 0)
    for shape, share in ((card.image_shape, 1 / 4), (card.eval_shape, 1 / 4)):
        pixels, _ = Preparation(shape, 10, margin_px=card.evaluation_margin_px)(dataset.validation[0], 0, 0)
        assert pixels.mean() / 255 == pytest.approx(share, abs=0.02)
    with pytest.raises(UsageError, match="eval_px: 0 is not a whole number of pixels"):
        data.card("mnist", {"path": str(tmp_path), "eval_px": 0})


def test_idx_files_that_are_damaged_missing_or_something_else(idx_folder):
    labels = idx_folder / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-3])
    with pytest.raises(DataError, match="17 bytes, its header promises 20"):
        data.load("mnist", {"path": str(idx_folder)})
    labels.write_bytes(b"PK\x03\x04 a zip file")
    with pytest.raises(DataError, match="not an IDX file"):
        read_idx(labels)
    labels.unlink()
    with pytest.raises(DataNotFound, match="has no train-labels"):
        data.load("mnist", {"path": str(idx_folder)})
    with pytest.raises(DataNotFound, match="no IDX files in") as caught:
        data.card("fashion_mnist", {"path": str(idx_folder / "nowhere")})
    assert "apt install dataset-fashion-mnist" in caught.value.hint


@pytest.mark.parametrize("ask", [data.card, data.load])
def test_whatever_is_wrong_with_an_idx_file_is_one_error_that_names_it(idx_folder, ask):
    """Gzipped, cut at every part of its length and with bytes changed: read as it was, or refused."""
    plain = idx_folder / "train-images-idx3-ubyte"
    whole, images = gzip.compress(plain.read_bytes()), plain.read_bytes()
    plain.unlink()
    path = idx_folder / f"{plain.name}.gz"
    rng = np.random.default_rng(0)
    cut = [whole[:at] for at in range(0, len(whole), 29)] + [whole[:-1]]
    changed = [
        bytes(byte ^ (at in places) * 0x55 for at, byte in enumerate(whole)) for places in rng.integers(0, len(whole), (40, 3))
    ]
    other = [gzip.compress(images + b"\0"), gzip.compress(b"\0\0\x08\xff" + b"\xff" * 1100), b"", images]
    sound = [whole, whole[:4] + b"\1\2\3\4" + whole[8:]]  # the second has another time in its header
    read = 0
    for content in cut + changed + other + sound:
        path.write_bytes(content)
        data.idx._content.cache_clear()
        try:
            ask("mnist", {"path": str(idx_folder)})
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)  # noqa: PT017, PT018 - what is not refused is read
        else:
            assert gzip.decompress(content) == images
            read += 1
    assert read >= len(sound)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"cannot be read: .*Is a directory"):
        ask("mnist", {"path": str(idx_folder)})


@pytest.mark.parametrize("ask", [data.card, data.load])
@pytest.mark.parametrize("split", ["train", "t10k"])
def test_idx_files_that_do_not_belong_together_are_refused_when_they_are_described(idx_folder, split, ask):
    labels = idx_folder / f"{split}-labels-idx1-ubyte"
    found = read_idx(labels)
    for wrong, said in (
        (np.where(np.arange(len(found)) == 3, 10, found), r"1 of \d+ labels are not 0 … 9, the first is 10 \(example 3\)"),
        (found[:-1], "images but"),
        (found[None], "is not an IDX file of 1 axes: it has 2"),
    ):
        write_idx(labels, wrong.astype(np.uint8))
        with pytest.raises(DataError, match=said):
            ask("mnist", {"path": str(idx_folder)})


def test_a_declared_data_set_can_be_planned_not_trained():
    declared = {
        "title": "JFT-4B",
        "train_examples": 4_000_000_000,
        "validation_examples": 130_000,
        "num_classes": 30_000,
        "image_shape": [224, 224, 3],
    }
    card = data.card("declared", declared)
    assert card.provisional
    assert (card.name, card.train_examples, card.image_shape) == ("JFT-4B", 4_000_000_000, (224, 224, 3))
    with pytest.raises(DataNotFound, match="only declared"):
        data.load("declared", declared)
    assert data.card("declared", declared | {"evaluation_shape": [256, 256, 3]}).eval_shape == (256, 256, 3)
    for key, wrong in (("image_shape", 32), ("evaluation_shape", [0, 1, 1]), ("train_examples", "many"), ("num_classes", 0)):
        with pytest.raises(UsageError, match=key):
            data.card("declared", declared | {key: wrong})
    with pytest.raises(UsageError, match="needs num_classes"):
        data.card("declared", {key: value for key, value in declared.items() if key != "num_classes"})


def test_an_unknown_data_set_names_the_nearest():
    with pytest.raises(UnknownName, match='did you mean "digits"'):
        data.load("digit", {})
