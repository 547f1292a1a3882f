"""Faults, the short version: real processes are struck while a grid is worked on, and a trace says what became of its runs.

The long version is `python -m benchmarks.faults`; its table is in docs/reliability.md.
"""

import csv
import json
import sqlite3
from dataclasses import replace

import pytest

from benchmarks.faults.grids import rehearsed
from benchmarks.faults.judge import Seen, judge, traced_steps
from benchmarks.faults.kinds import KINDS
from benchmarks.faults.round import play, truths_of_rehearsals
from benchmarks.faults.world import new_world

STRUCK = [
    "trainer killed",
    "killed before a checkpoint's commit",
    "checkpoint bit-flipped",
    "worker actor killed",
    "scheduler killed between end and requeue",
    "out of memory",
]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with new_world(cores=1, disks=False) as world:
        world.file.write_text(rehearsed(0, runs=4))
        truths = truths_of_rehearsals(world.file)
        result = play(world, seed=0, truths=truths, per_minute=60.0, kinds=STRUCK, in_turn=True)
        yield world, truths, result


def test_no_run_is_lost_counted_twice_or_of_other_bits(played):
    world, truths, result = played
    assert result.verdict.is_clean, result.verdict
    assert len(truths) == 9
    assert [strike.kind for strike in result.strikes] == STRUCK[: len(result.strikes)]
    assert len(result.strikes) >= 4  # a quick machine may have done the grid before the last kinds' turn
    with sqlite3.connect(world.db) as store:
        outcomes = dict(store.execute("SELECT outcome, count(*) FROM attempts GROUP BY outcome"))
    assert outcomes["finished"] == 8
    assert outcomes["diverged"] == 1
    assert outcomes["died"] >= 2


@pytest.mark.parametrize(
    ("harm", "of"),
    [
        ("UPDATE runs SET status = 'pending' WHERE id = :run", "lost"),
        ("UPDATE attempts SET useful_seconds = 2 * useful_seconds WHERE run_id = :run", "counted_twice"),
        ("UPDATE runs SET core_hours = core_hours * 1.001 WHERE id = :run", "counted_twice"),
        ("UPDATE runs SET val_loss = val_loss + 1e-12 WHERE id = :run", "bit_different"),
        ("UPDATE attempts SET token = 'x' || substr(token, 2) WHERE run_id = :run AND outcome = 'finished'", "bit_different"),
        (
            "UPDATE attempts SET outcome = 'finished', checkpoint_step = NULL WHERE run_id = :run AND outcome = 'died'",
            "counted_twice",
        ),
        ("UPDATE allocations SET held_seconds = 0", "store"),
    ],
)
def test_the_judge_sees_what_is_wrong(played, harm, of):
    """A store that says something else than what was done is found out."""
    world, truths, _ = played
    copy = replace_store(world)
    with sqlite3.connect(copy.db) as store:
        run = store.execute(
            "SELECT run_id FROM attempts WHERE outcome = 'died' AND run_id IN (SELECT id FROM runs WHERE status = 'finished')"
        )
        store.execute(harm, {"run": run.fetchone()[0]})
    assert getattr(judge(copy, truths), of)
    other = {run: replace(truth, digest="another") for run, truth in truths.items()}
    assert len(judge(world, other).bit_different) == 8


def test_a_trace_whose_disk_was_full_as_it_began_says_so_later(tmp_path):
    lines = [
        {"token": "t", "kind": kind, "first_step": 1638, "step": step} for kind, step in (("progress", 1700), ("checkpoint", 2000))
    ]
    (tmp_path / "fault_trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert traced_steps(tmp_path, "t") == Seen(1638, frozenset({2000}))
    assert traced_steps(tmp_path, "another") == Seen(0, frozenset())


def replace_store(world):
    """The same world with a copy of its store."""
    import copy

    other = copy.copy(world)
    other.db = world.root / "copy.db"
    with sqlite3.connect(world.db) as source, sqlite3.connect(other.db) as target:
        source.backup(target)
    return other


def test_every_kind_has_struck_under_its_name():
    """The table of docs/reliability.md is made from this file."""
    with open("benchmarks/faults.csv") as file:
        assert {row["kind"] for row in csv.DictReader(file)} == set(KINDS)
