"""A search finds what was planted, in every format, and tells what it cannot read."""

import errno
import gzip
import pickle
import struct

import cv2
import numpy as np
import pytest

from scaling.errors import DataError
from tests.trainer import pictures
from tests.trainer.pictures import encoded, photo
from tests.trainer.protobuf_example import encode
from trainer import data
from trainer.data.dataset import ArrayExamples, BadExample
from trainer.duplicates import candidates
from trainer.duplicates.finding import find
from trainer.duplicates.splits import Split, splits_of

WRITERS = {
    "imagefolder": pictures.write_folder,
    "parquet": pictures.write_parquet,
    "webdataset": pictures.write_tars,
    "array_record": lambda folder, images: pictures.write_array_records(folder, images, encode),
}
SIZE = (90, 120)


class Pictures:
    """Pixels in memory, as a data set of one's own gives them; what is no array is raised."""

    def __init__(self, images, labels=None):
        self.images = images
        self.labels = np.zeros(len(images), int) if labels is None else np.asarray(labels)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        if isinstance(self.images[index], Exception):
            raise self.images[index]
        return {"image": self.images[index], "label": self.labels[index], "id": index}


def own(images, labels=None, *, name="train", fingerprint="own", channels=3):
    return Split("own", fingerprint, name, Pictures(images, labels), channels, str)


def pairs_of(found):
    return [(pair.a, pair.b, pair.rule, pair.orientation) for pair in found.pairs]


def smaller(pixels, factor=0.8):
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def photos():
    return [photo(*SIZE, seed) for seed in range(16)]


@pytest.fixture(scope="module")
def planted(photos):
    """Find copies: training images 1 and 4 are copies of held-out ones, and 2 cannot be read; 1 has the other label."""
    files = [(f"{k:03d}.jpg", encoded(pixels), k // 4) for k, pixels in enumerate(photos[:8])]
    files[2] = ("002.jpg", files[2][1][:900], 0)
    held_out = [(f"{k:03d}.jpg", encoded(pixels), k // 2) for k, pixels in enumerate(photos[8:12])]
    held_out[2] = ("002.jpg", encoded(smaller(photos[1][:, ::-1]), quality=80), 1)
    held_out[3] = ("003.png", encoded(photos[4], "PNG"), 1)
    files[4] = ("004.webp", encoded(photos[4], "WEBP", lossless=True), 1)
    return {"train": files, "val": held_out}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format(name, planted, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    options = {"path": str(WRITERS[name](folder, planted)), "train_px": 32, "num_classes": 3}
    if name in ("imagefolder",):
        options["num_classes"] = 2
    splits = splits_of(data.load(name, options), options)
    found = find(splits["train"], splits["validation"], work=tmp_path / "work", workers=0)
    assert pairs_of(found) == [(1, 2, "perceptual", "flipped"), (4, 3, "exact", "as is")]
    assert (len(found.a), len(found.b), found.unreadable_b) == (8, 4, ())
    [(id_, reason)] = found.unreadable_a
    assert id_ == splits["train"].id(2)
    assert "damaged JPEG" in reason
    assert [(pair.a, pair.b) for pair in found.conflicts] == [(1, 2)]
    assert splits["train"].label(1) != splits["validation"].label(2)


def write_idx(folder, images, labels):
    for split, count in images.items():
        for kind, array in (("images-idx3", images[split]), ("labels-idx1", labels[split])):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            with gzip.open(folder / f"{split}-{kind}-ubyte.gz", "wb", 1) as file:
                file.write(head + array.tobytes())
        assert len(count)


def test_small_images_are_found_by_features_in_idx_files(tmp_path):
    clothes = [cv2.resize(photo(60, 60, seed), (28, 28), interpolation=cv2.INTER_AREA)[..., 0] for seed in range(40)]
    held_out = [np.ascontiguousarray(clothes[3].T), (clothes[5] * 0.8).astype(np.uint8), clothes[7], clothes[39]]
    write_idx(
        tmp_path,
        {"train": np.stack(clothes[:39]), "t10k": np.stack(held_out)},
        {"train": np.arange(39, dtype=np.uint8) % 10, "t10k": np.arange(4, dtype=np.uint8)},
    )
    splits = splits_of(data.load("mnist", {"path": str(tmp_path)}), {})
    found = find(splits["train"], splits["validation"], work=tmp_path / "work", workers=0)
    assert [(pair.a, pair.b, pair.rule) for pair in found.pairs] == [(3, 0, "embedding"), (5, 1, "embedding"), (7, 2, "exact")]
    assert "flipped" in found.pairs[0].orientation


def test_digits_on_their_own_scale(tmp_path):
    train = splits_of(data.load("digits", {}), {})["train"]
    images = np.stack([train.examples[k]["image"] for k in (11, 500)])
    images[1] = images[1][:, ::-1]
    turned = ArrayExamples(images, np.zeros(2), full_scale=16.0, mean=0.3, std=0.4)
    found = find(train, Split("turned", "other", "images", turned, 1, str), work=tmp_path, workers=0)
    assert {(11, 0, "exact", "as is"), (500, 1, "embedding", "flipped")} <= set(pairs_of(found))
    assert found.conflicts == ()  # numbers of two data sets do not mean the same


def test_a_set_of_ones_own_in_processes_and_within(photos, tmp_path):
    images = [*photos[:5], smaller(photos[1]), photos[2], BadExample("no light"), photos[2]]
    found = find(own(images, [0, 1, 2, 0, 0, 0, 2, 0, 1]), None, work=tmp_path, workers=2)
    assert found.is_within
    assert pairs_of(found) == [(1, 5, "perceptual", "as is"), (2, 6, "exact", "as is"), (2, 8, "exact", "as is")]
    assert found.unreadable_a == found.unreadable_b == (("7", "no light"),)
    assert [(pair.a, pair.b) for pair in found.conflicts] == [(1, 5), (2, 8)]
    assert pickle.loads(pickle.dumps(found.pairs)) == found.pairs


def test_what_holds_of_an_image_holds_of_its_copies(photos, tmp_path):
    """Only one of the copies is compared; all of them have to go."""
    found = find(own([photos[0], photos[3], photos[3]]), own([smaller(photos[3])], name="validation"), work=tmp_path, workers=0)
    assert pairs_of(found) == [(1, 0, "perceptual", "as is"), (2, 0, "perceptual", "as is")]


def test_sets_of_mixed_sizes_and_channels(photos, tmp_path):
    grey = cv2.cvtColor(photos[2], cv2.COLOR_RGB2GRAY)[..., None]
    tiny = cv2.resize(photos[5], (40, 30), interpolation=cv2.INTER_AREA)
    found = find(
        own([*photos[:4], photos[5]]),
        own([tiny, np.repeat(grey, 3, axis=2)], name="validation"),
        work=tmp_path,
        workers=0,
    )
    assert {(pair.a, pair.b, pair.rule) for pair in found.pairs} == {(4, 0, "embedding"), (2, 1, "perceptual")}


def test_normalised_pixels_and_other_than_three_channels(photos, tmp_path):
    floats = [((pixels[..., :2] / 127.5) - 1).astype(np.float32) for pixels in photos[:6]]
    found = find(
        own(floats, channels=2), own([floats[4], floats[1] * 0.5 + 0.1], channels=2, name="validation"), work=tmp_path, workers=0
    )
    assert pairs_of(found) == [(1, 1, "perceptual", "as is"), (4, 0, "exact", "as is")]


def test_nothing_is_found_where_there_is_nothing(photos, tmp_path):
    flat = [np.full((*SIZE, 3), value, np.uint8) for value in range(20)]
    assert find(own([*photos, *flat]), None, work=tmp_path, workers=0).pairs == ()
    none = own([], name="validation")
    assert (
        find(own(photos[:2]), none, work=tmp_path, workers=0).pairs
        == find(none, own(photos[:2]), work=tmp_path, workers=0).pairs
        == ()
    )
    assert find(none, None, work=tmp_path, workers=0).unreadable_a == ()
    all_bad = find(own([BadExample("gone")] * 3), own(photos[:2], name="validation"), work=tmp_path, workers=0)
    assert (all_bad.pairs, len(all_bad.unreadable_a)) == ((), 3)


def test_a_set_that_overlaps_wholly(photos, tmp_path):
    found = find(own(photos), own(photos, fingerprint="copy", name="images"), work=tmp_path, workers=0)
    assert pairs_of(found) == [(k, k, "exact", "as is") for k in range(len(photos))]


def test_copies_by_the_thousand_take_no_comparison(tmp_path):
    image = photo(64, 64, 1)
    found = find(own([photo(64, 64, 0), *[image] * 1000]), None, work=tmp_path, workers=0)
    assert pairs_of(found) == [(1, k, "exact", "as is") for k in range(2, 1001)]
    assert not list((tmp_path / "compared").iterdir())


def test_many_near_copies_take_comparisons_in_proportion(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "MOST", 3)  # by hashes, and by features
    image, rng = photo(64, 64, 1), np.random.default_rng(0)
    near = [np.clip(image + rng.normal(0, 1, image.shape), 0, 255).astype(np.uint8) for _ in range(50)]
    told = []
    found = find(own(near), None, work=tmp_path, workers=0, on_progress=told.append)
    assert {pair.b for pair in found.pairs} == set(range(1, 50))
    compared = next(searched.total for searched in told if searched.what == "comparing pixels")
    assert 49 <= compared <= 2 * 3 * 50
    assert all(searched.done <= searched.total for searched in told)


def test_a_disk_that_fails_ends_the_search(photos, tmp_path):
    broken = own([photos[0], OSError(errno.EIO, "Input/output error")])
    with pytest.raises(DataError, match=r"example 1 cannot be read: OSError: .*Input/output error"):
        find(broken, None, work=tmp_path, workers=0)
    gone = own([photos[0], FileNotFoundError(errno.ENOENT, "No such file"), PermissionError(errno.EACCES, "Permission denied")])
    assert [name for name, _ in find(gone, None, work=tmp_path, workers=0).unreadable_a] == ["1", "2"]
