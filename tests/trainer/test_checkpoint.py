"""Checkpoints are whole or not there: damaged, killed at every operation, refused by the disk, on an object store."""

import errno
import json
import os
import resource
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from scaling.errors import DataError
from tests.small_disk import full_disk
from tests.trainer.killed_writer import snapshot_of, write
from trainer import checkpoint
from trainer.checkpoint import Keep, NotFinite, Piece, Snapshot, Writer
from trainer.checkpoint.files import _digest
from trainer.checkpoint.snapshot import state_from
from trainer.storage import storage_at


class Bucket(MemoryFileSystem):
    """Files in memory with the manners of an object store: they appear when they are closed, and nothing can be renamed."""

    protocol = "bucket"
    store, pseudo_dirs = {}, [""]

    def mv(self, *_arguments, **_options):
        raise OSError(errno.ENOTSUP, "an object store does not rename")

    move = rename = mv


def assert_is(restored, step):
    """Counters and every bit of every array are those of one step."""
    assert (restored.step, restored.counters["position"]) == (step, 64 * step)
    expected = {name: pieces[0].values for name, pieces in snapshot_of(step).pieces.items()}
    assert {name: array.tobytes() for name, array in restored.arrays.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


@pytest.fixture(params=["disk", "file://", "memory://", "bucket://"])
def place(request, tmp_path):
    if request.param == "disk":
        return str(tmp_path)
    if request.param == "file://":
        return f"file://{tmp_path}"
    import fsspec

    fsspec.register_implementation("bucket", Bucket, clobber=True)
    return f"{request.param}{uuid.uuid4().hex}/run/1"


def test_the_newest_two_are_kept_and_the_newest_is_restored(place):
    assert [outcome.failure for outcome in write(place, 10, 20, 30)] == [None] * 3
    assert checkpoint.committed(storage_at(place)) == [20, 30]
    assert_is(checkpoint.restore(place)[0], 30)
    assert_is(checkpoint.restore(place, at_most=29)[0], 20)
    assert checkpoint.restore(place, at_most=5) == (None, [])


def test_every_nth_is_kept_for_good(tmp_path):
    write(tmp_path, *range(10, 80, 10), keep=Keep(newest=1, every=3))
    assert checkpoint.committed(storage_at(tmp_path)) == [30, 60, 70]


def alter(path, damage):
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(b"" if damage == "empty" else content[:-10] if damage == "truncate" else content)
    if damage == "gone":
        path.unlink()


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "gone"])
@pytest.mark.parametrize("which", ["state", "manifest"])
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, which, damage):
    write(tmp_path, 10, 20)
    (path,) = (tmp_path / "checkpoints" / "20").glob(f"{which}.*")
    alter(path, damage)
    restored, faults = checkpoint.restore(tmp_path)
    assert_is(restored, 10)
    assert len(faults) == (0 if (which, damage) == ("manifest", "gone") else 1)
    write(tmp_path, 20, 30, first_step=10, life="another")  # goes on in the same folder, over the damaged one
    assert checkpoint.committed(storage_at(tmp_path)) == [20, 30]
    assert_is(checkpoint.restore(tmp_path, at_most=20)[0], 20)


def test_no_single_flipped_bit_goes_unseen(tmp_path):
    """Every 97th bit of both files, one at a time."""
    write(tmp_path, 10)
    for path in (tmp_path / "checkpoints" / "10").iterdir():
        content = path.read_bytes()
        if path.name.startswith("part."):
            continue  # only read while a checkpoint is committed
        for bit in range(0, 8 * len(content), 97 if path.suffix == ".json" else 9973):
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            restored, _ = checkpoint.restore(tmp_path)
            assert restored is None, f"bit {bit} of {path.name}"
        path.write_bytes(content)
    assert_is(checkpoint.restore(tmp_path)[0], 10)


@pytest.mark.parametrize(
    ("change", "fault"),
    [({"format": 1}, "step 20: format 1, this version reads 2"), ({"step": 30}, "step 20: its manifest is of step 30")],
)
def test_a_manifest_of_another_format_or_step_is_passed_over(tmp_path, change, fault):
    write(tmp_path, 10, 20)
    manifest = tmp_path / "checkpoints" / "20" / "manifest.json"
    body = json.loads(manifest.read_text()) | change
    body.pop("sha256")
    manifest.write_text(json.dumps(body | {"sha256": _digest(body)}))
    restored, faults = checkpoint.restore(tmp_path)
    assert_is(restored, 10)
    assert faults == [f"{tmp_path}: {fault}"]


def test_when_all_of_an_attempt_are_damaged_the_attempt_before_has_one(tmp_path):
    """Also after the home was moved: attempts lie side by side."""
    home = tmp_path / "home"
    write(home / "1", 10, 20)
    checkpoint.describe_attempt(storage_at(home / "2"), {"directory": str(home / "1"), "step": 10}, {})
    write(home / "2", 30)
    alter(next((home / "2" / "checkpoints" / "30").glob("state.*")), "flip")
    restored, faults = checkpoint.restore(home / "2")
    assert_is(restored, 10)
    assert "state.0.0.npz is not what was written" in faults[0]
    home.rename(tmp_path / "moved")
    assert_is(checkpoint.restore(tmp_path / "moved" / "2")[0], 10)


@pytest.mark.parametrize("store", ["", "one/", "two/"])
@pytest.mark.parametrize(("run", "parent"), [("run", None), ("child", "run")])
def test_the_attempt_before_is_found_in_a_moved_home_whatever_store_it_was_under(tmp_path, store, run, parent):
    home = tmp_path / "home"
    before, attempt = home / f"{store}run/1", home / f"one/{run}/2"
    write(before, 10)
    checkpoint.describe_attempt(storage_at(attempt), {"directory": str(before), "step": 10, "parent": parent}, {})
    home.rename(tmp_path / "moved")
    assert_is(checkpoint.restore(tmp_path / f"moved/one/{run}/2")[0], 10)


def test_killed_before_any_operation_on_the_disk(tmp_path):
    """Whatever the moment, the newest committed one is whole and the run goes on from it; progress is never lost."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.killed_writer", str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    lives = [json.loads(line) for line in done.stdout.splitlines()]
    found = []
    for life in lives:
        restored, faults = checkpoint.restore(life["folder"])
        assert faults == [], life
        assert_is(restored, restored.step)
        found.append(restored.step)
        write(life["folder"], 50, first_step=restored.step, life="2")  # cleans up what the dead one left
        assert checkpoint.committed(storage_at(life["folder"])) == [restored.step, 50]
        assert len(os.listdir(Path(life["folder"]) / "checkpoints")) == 2
    assert found == sorted(found)
    assert set(found) == {20, 30, 40}
    points = [life["before"] for life in lives]
    assert points[-1] is None
    assert {"fsync state.1.0.npz", "fsync .manifest.json.draft", "os.rename .manifest.json.draft", "fsync 30"} <= set(points)


def test_a_full_disk_costs_a_checkpoint_and_not_the_one_before(tmp_path):
    with full_disk(tmp_path, 1 << 17) as folder:
        (folder / "ballast").write_bytes(bytes(80_000))
        first, second = write(folder, 10, 20)
        assert first.failure is None
        assert isinstance(second.failure, OSError)
        assert second.failure.errno == errno.ENOSPC
        assert_is(checkpoint.restore(folder)[0], 10)
        (folder / "ballast").unlink()
        assert write(folder, 30, first_step=10, life="2")[0].failure is None
        assert_is(checkpoint.restore(folder)[0], 30)


def test_a_quota_costs_a_checkpoint_and_not_the_one_before(tmp_path):
    """The kernel refuses to let a file grow."""
    write(tmp_path, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        (outcome,) = write(tmp_path, 20, first_step=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(outcome.failure, OSError)
    assert outcome.failure.errno == errno.EFBIG
    assert_is(checkpoint.restore(tmp_path)[0], 10)


def test_a_state_that_is_not_finite_is_never_written(tmp_path):
    write(tmp_path, 10)
    bad = snapshot_of(20)
    bad.pieces["params/kernel"][0].values[3, 4] = np.inf
    writer = Writer(storage_at(tmp_path), keep=Keep(), first_step=10)
    writer.submit(bad)
    failure = writer.take(wait=True).failure
    writer.close()
    assert isinstance(failure, NotFinite)
    assert failure.array == "params/kernel"
    assert os.listdir(tmp_path / "checkpoints") == ["10"]


def test_two_processes_write_one_checkpoint_and_a_missing_part_is_no_commit(tmp_path, monkeypatch):
    """Process 1 has the second half of an array; the manifest waits for it."""
    values = np.arange(12, dtype=np.float32).reshape(4, 3)

    def part(index, start, rows):
        pieces = {"w": [Piece((start, 0), rows)]}
        return Snapshot(7, pieces, {"w": (4, 3)}, {"checkpoint": 1}, "0", part=index, parts=(0, 1))

    monkeypatch.setattr("trainer.checkpoint.writer._PART_SECONDS", 0.1)
    zero, one = (Writer(storage_at(tmp_path), keep=Keep(), first_step=0) for _ in range(2))
    zero.submit(part(0, 0, values[:2]))
    assert isinstance(zero.take(wait=True).failure, TimeoutError)
    assert checkpoint.committed(storage_at(tmp_path)) == []
    one.submit(part(1, 2, values[2:]))
    zero.submit(part(0, 0, values[:2]))
    assert zero.take(wait=True).failure is one.take(wait=True).failure is None
    np.testing.assert_array_equal(checkpoint.restore(tmp_path)[0].arrays["w"], values)
    zero.close()
    one.close()


def test_a_checkpoint_of_another_model_says_in_what(tmp_path):
    write(tmp_path, 10)
    restored, _ = checkpoint.restore(tmp_path)
    like = {"params": {"kernel": np.zeros((64, 65), np.float32), "gain": np.zeros(3, np.float32)}}
    for changes, message in (
        ({}, "this model has no optimizer/count"),
        ({"optimizer": {"count": np.zeros((2,), int)}}, r"optimizer/count is int64\[\], this model's is int64\[2\]"),
        ({"optimizer": {"count": np.zeros((), int), "more": np.zeros(1)}}, "it has no optimizer/more"),
    ):
        with pytest.raises(DataError, match=message):
            state_from(restored.arrays, like | changes, restored.place)


def test_bfloat16_survives(tmp_path):
    import jax.numpy as jnp

    values = np.asarray(jnp.arange(5, dtype=jnp.bfloat16))
    writer = Writer(storage_at(tmp_path), keep=Keep(), first_step=0)
    writer.submit(Snapshot(1, {"w": [Piece((0,), values)]}, {"w": (5,)}, {"checkpoint": 1}, "0"))
    assert writer.take(wait=True).failure is None
    writer.close()
    again = state_from(checkpoint.restore(tmp_path)[0].arrays, {"w": values}, "here")["w"]
    assert again.dtype == values.dtype
    assert again.tobytes() == values.tobytes()
