"""What is computed of images survives a kill, is not computed again, and is not taken for that of others."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from scaling.errors import DataError, UsageError
from tests.trainer import pictures
from tests.trainer.duplicates.slow_pictures import Slow
from trainer import data
from trainer.duplicates.pixels import digest, shown
from trainer.duplicates.prints import prints
from trainer.duplicates.splits import Split, splits_of

ROOT = os.path.dirname(os.path.abspath(__file__ + "/../../.."))


def split_of(examples):
    return Split("slow", "f", "train", examples, 3, str)


def whole(printed):
    return [np.concatenate(columns) for columns in zip(*(shard[1:] for shard in printed), strict=True)]


def test_a_killed_pass_goes_on_where_it_was(tmp_path):
    """SIGKILL in the middle: the shards that are there are read by nobody again, and no worker is left."""
    reads = tmp_path / "reads"
    code = (
        "import sys; from pathlib import Path; from tests.trainer.duplicates.slow_pictures import Slow; "
        "from trainer.duplicates.prints import prints; from trainer.duplicates.splits import Split; "
        "prints(Split('slow', 'f', 'train', Slow(sys.argv[1], 0.05), 3, str), Path(sys.argv[2]), workers=2, shard_images=4)"
    )
    work = tmp_path / "work"
    searching = subprocess.Popen(
        [sys.executable, "-c", code, str(reads), str(work)], cwd=ROOT, env=os.environ | {"PYTHONPATH": ROOT}
    )
    until = time.monotonic() + 60
    while len(list(work.glob("prints/*.npz"))) < 2 or len(who_read(reads)) < 2:
        assert time.monotonic() < until
        assert searching.poll() is None
        time.sleep(0.005)
    searching.send_signal(signal.SIGKILL)
    searching.wait()
    before = read_by_the_last(reads)
    kept = {path: path.stat().st_mtime_ns for path in work.glob("prints/*.npz")}
    assert 2 <= len(kept) < 16
    told = []
    printed = prints(split_of(Slow(str(reads), 0)), work, workers=2, on_done=told.append, shard_images=4)
    assert told[0] == 4 * len(kept)
    assert sum(told) == len(Slow("", 0)) == 64
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    read_again = reads.read_text().splitlines()[len(before) :]
    assert len(read_again) == 64 - told[0]
    fresh = prints(split_of(Slow(str(reads), 0)), tmp_path / "fresh", shard_images=4)
    assert all(map(np.array_equal, whole(printed), whole(fresh)))
    assert printed.unreadable == fresh.unreadable == ((13, "bad luck"),)


def read_by_the_last(reads):
    """What was read, once all that read are gone: workers end with their search."""
    until = time.monotonic() + 60
    while any(map(is_running, who_read(reads))):
        assert time.monotonic() < until
        time.sleep(0.01)
    return reads.read_text().splitlines()


def who_read(reads):
    return {line.split()[1] for line in reads.read_text().splitlines()} if reads.exists() else set()


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_image_file_that_was_written_anew_is_read_anew(tmp_path):
    folder = pictures.write_folder(tmp_path / "photos", pictures.small_set())
    options = {"path": str(folder), "train_px": 24}
    work, told = tmp_path / "work", []

    def passed():
        told.clear()
        split = splits_of(data.load("imagefolder", options), options)["train"]
        return whole(prints(split, work, on_done=told.append, shard_images=4))

    before = passed()
    assert told[0] == 0
    passed()
    assert told == [21]
    path = folder / "train" / "bee" / "010.jpg"
    os.utime(path, ns=(1, 1))
    assert all(map(np.array_equal, before, passed()))
    assert told == [17, 4]
    for left in (100, 0):
        for file in (work / "prints").glob("*.npz"):
            file.write_bytes(file.read_bytes()[:left])
        with pytest.raises(DataError, match=r"\.npz is damaged"):
            passed()


def test_work_that_cannot_be_kept_or_sent(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        prints(split_of(Slow("", 0)), tmp_path / "file")
    examples = Slow("", 0)
    examples.secret = lambda: None
    with pytest.raises(UsageError, match="cannot be sent to worker processes"):
        prints(split_of(examples), tmp_path, workers=2, shard_images=8)


def test_equal_pixels_have_one_digest_however_they_are_stored():
    colour = pictures.photo(9, 7, 0)
    grey = colour[..., :1]
    assert digest(grey) == digest(np.repeat(grey, 3, axis=2))
    assert (
        len({digest(colour), digest(grey), digest(grey.transpose(1, 0, 2)), digest(grey.reshape(7, 9, 1)), digest(grey + 1)}) == 5
    )
    few = np.array([[[0], [16]], [[8], [1]]], np.uint8)
    assert digest(few, 16.0) == digest(shown(few, 16.0)) != digest(few)
    assert shown(few, 16.0).ravel().tolist() == [0, 255, 128, 16]
    floats = grey.astype(np.float32)
    assert digest(floats) != digest(grey)
    assert digest(floats) == digest(floats.copy())
    assert shown(np.array([[[-1.0], [np.nan], [1.0]]], np.float32)).ravel().tolist() == [0, 128, 255]
