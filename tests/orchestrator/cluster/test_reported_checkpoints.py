"""Which of a run's reported checkpoints the next attempt is given: the last that is still there, and none of steps that were done again."""

import pytest

from orchestrator.cluster.reported_checkpoints import go_on_from, note_checkpoint, place_of


@pytest.fixture
def run(tmp_path):
    """Three attempts: the first saved at 10, 20 and, when nobody listened any more, at 60; the second at 30 and 40; the third at 50."""
    for attempt, steps in (("1", (10, 20, 60)), ("2", (30, 40)), ("3", (50,))):
        (tmp_path / attempt).mkdir()
        for step in steps:
            (tmp_path / f"{attempt}-{step}.npz").touch()
            note_checkpoint(tmp_path / attempt, step, str(tmp_path / f"{attempt}-{step}.npz"))
    return tmp_path


@pytest.mark.parametrize(
    ("gone", "given", "told"),
    [
        ((), "3-50", ""),
        (("2-40", "1-60"), "3-50", ""),
        (
            ("3-50",),
            "2-40",
            "the checkpoint of step 50, {}/3-50.npz, is not there any more: this attempt is given the checkpoint of step 40",
        ),
        (
            ("3-50", "2-40"),
            "2-30",
            "the checkpoint of step 50, {}/3-50.npz, is not there any more: this attempt is given the checkpoint of step 30",
        ),
        (
            ("3-50", "2-40", "2-30"),
            "1-20",
            "the checkpoint of step 50, {}/3-50.npz, is not there any more: this attempt is given the checkpoint of step 20",
        ),
        (
            ("3-50", "2-40", "2-30", "1-20", "1-10"),
            None,
            "the checkpoint of step 50, {}/3-50.npz, is not there any more, nor an earlier one: this attempt is given none, and begins anew",
        ),
    ],
)
def test_the_last_that_is_there_is_given(run, gone, given, told):
    for name in gone:
        (run / f"{name}.npz").unlink()
    found = go_on_from(run / "3", 50, [run])
    assert found == (given and str(run / f"{given}.npz"), told.format(run))


def test_an_attempt_whose_note_was_lost_is_given_an_earlier_one_without_a_word(run):
    (run / "3" / "checkpoint-50.json").write_text('{"pa')
    assert go_on_from(run / "3", 50, [run]) == (str(run / "2-40.npz"), "")
    assert go_on_from(run / "4", 50, [run])[0] == str(run / "2-40.npz")


def test_where_a_path_leads(tmp_path):
    start, kept = tmp_path / "start", tmp_path / "kept"
    for folder in (start, kept):
        folder.mkdir()
    (kept / "a").mkdir()
    (start / "b").touch()
    (kept / "b").touch()
    assert place_of("a", [start, kept]) == str(kept / "a")
    assert place_of("b", [start, kept]) == str(start / "b")
    assert place_of(str(kept / "b"), [start, kept]) == str(kept / "b")
    for nowhere in ("c", "/c", "b/c", "x" * 5000, "a\0b"):
        assert place_of(nowhere, [start, kept]) is None
    assert place_of("s3://bucket/a", [start, kept]) == "s3://bucket/a"
