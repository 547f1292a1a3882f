"""Runs that share a trunk: what a plan saves, who waits for whom, and who pays for which steps."""

import pytest

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from orchestrator.resources import Resources, RunOptions
from orchestrator.store import ledger, queries
from orchestrator.store.checkpoint_owners import checkpoint_owners
from orchestrator.store.grid import accept, waiting_runs
from orchestrator.store.ledger import Charge
from orchestrator.store.lineage import Share, lineage_of
from orchestrator.store.models import Run
from orchestrator.store.startable import startable
from scaling.errors import SpecError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted

PARENT, CHILD = "a" * 16, "b" * 16
FILE = """\
name: trunks
dataset: {name: digits}
models: [nano-F0, nano-F1]
epochs: [1, 2, 8]
batch_size: 64
learning_rate: {grid: [0.8, 1.6]}
schedule: {name: SCHEDULE, reuse_trunk: true}
"""


def planned(tmp_path, schedule="warmup-stable-decay", reuse_trunk="true"):
    text = FILE.replace("SCHEDULE", schedule).replace("reuse_trunk: true", f"reuse_trunk: {reuse_trunk}")
    (tmp_path / "f.yaml").write_text(text)
    return make_plan(*read_spec(tmp_path / "f.yaml"))


def test_the_longest_budget_is_the_parent_of_the_others(tmp_path):
    plan = planned(tmp_path)
    by_id = {run.id: run for run in plan.runs}
    for run in plan.runs:
        epochs = run.config.schedule.epochs
        if epochs == 8:
            assert run.branch.parent is None
            assert run.branch.checkpoint_at == (18, 35, 136), "before the decays of 22, 43 and 169 steps"
            continue
        parent = by_id[run.branch.parent]
        assert (parent.config.model, parent.config.learning_rate) == (run.config.model, run.config.learning_rate)
        assert run.branch.parent_step == {1: 18, 2: 35}[epochs]
        assert run.inherited_core_hours == pytest.approx(run.estimated_core_hours * run.branch.parent_step / run.steps)
    assert plan.inherited_core_hours == pytest.approx(0.8 * 3 / 11 * plan.estimated_core_hours, rel=0.03)


def test_it_is_the_same_study_with_the_same_runs(tmp_path):
    """How runs are done is in neither their ids nor what an experiment's runs have in common."""
    shared = planned(tmp_path)
    alone = planned(tmp_path, reuse_trunk="false")
    assert [run.id for run in shared.runs] == [run.id for run in alone.runs]
    assert shared.shared == alone.shared


def test_other_schedules_have_no_trunk(tmp_path):
    with pytest.raises(SpecError, match=r"f.yaml:7: schedule: reuse_trunk: the budgets of cosine have no steps in common"):
        planned(tmp_path, schedule="cosine")


# -- the store ---------------------------------------------------------------------------------------------------------------------


def family(**changes):
    """A run of 400 steps and one of 100 that starts from it at step 80. An hour a thousand steps."""
    options = RunOptions(trunk="t", checkpoint_at=(80, 320))
    parent = a_run(PARENT, epochs=4.0, steps=400, train_flops=4e9, options=options)
    child = a_run(CHILD, options=RunOptions(trunk="t"), parent_id=PARENT, parent_step=80)
    return [child | changes, parent]


def may_start(store, estimate=lambda run: run.train_flops):
    with store.read() as session:
        found = startable(session, waiting_runs(session), estimate)
    return {run.id for run in found.runs}, found.left_out


def progress(store, grant, *, first_step=0, checkpoints=()):
    with store.write() as session:
        assert ledger.record(
            session,
            grant.token,
            first_step=first_step,
            checkpoint_step=checkpoints[-1][0] if checkpoints else None,
            checkpoints=checkpoints,
        )


def ended(store, grant, outcome=AttemptOutcome.FINISHED, useful=0.0, **charge):
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=outcome, reason="", charge=Charge(useful, **charge))


def test_a_child_waits_for_its_branch_point_and_no_longer(store):
    accepted(store, *family())
    assert may_start(store) == ({PARENT}, {CHILD: f"starts from run {PARENT} once that is at step 80"})
    grant = granted(store, PARENT)
    assert may_start(store) == (set(), {CHILD: f"starts from run {PARENT} once that is at step 80"})
    progress(store, grant, checkpoints=[(40, 36.0)])
    assert may_start(store)[0] == set(), "a checkpoint that is not kept is none to start from"
    progress(store, grant, checkpoints=[(80, 72.0), (90, 81.0)])
    assert may_start(store) == ({CHILD}, {})
    branched = granted(store, CHILD)
    assert (branched.resume_folder, branched.resume_step, branched.parent) == (f"{PARENT}/1", 80, PARENT)


@pytest.mark.parametrize("outcome", [AttemptOutcome.DIVERGED, AttemptOutcome.RAISED, AttemptOutcome.CANCELLED])
def test_where_the_parent_ends_without_it_the_child_is_done_alone(store, outcome):
    accepted(store, *family())
    grant = granted(store, PARENT)
    ended(store, grant, outcome)
    assert may_start(store) == ({CHILD}, {})
    alone = granted(store, CHILD)
    assert (alone.resume_folder, alone.resume_step) == (None, 0)
    progress(store, alone, checkpoints=[(100, 90.0)])
    ended(store, alone, useful=90.0)
    with store.read() as session:
        run = session.get(Run, CHILD)
        assert (run.core_hours, run.inherited_core_hours) == (pytest.approx(2 * 90 / 3600), 0.0)


def test_nobody_waits_for_a_parent_that_is_paused(store):
    accepted(store, *family())
    with store.write() as session:
        session.get(Run, PARENT).status = RunStatus.PAUSED
    assert may_start(store) == ({CHILD}, {})


def test_a_child_that_branched_off_and_is_done_alone_after_all_owes_the_trunk_nothing(store):
    child, parent = family()
    accepted(store, child, parent)
    progress(store, granted(store, PARENT), checkpoints=[(80, 72.0)])
    first = granted(store, CHILD)
    progress(store, first, first_step=80)
    ended(store, first, AttemptOutcome.DIED)
    accepted(store, {**child, "resources": Resources("H100", 1)}, parent)
    alone = granted(store, CHILD)
    assert (alone.resume_folder, alone.resume_step) == (None, 0)
    progress(store, alone, first_step=0, checkpoints=[(100, 90.0)])
    ended(store, alone, useful=90.0)
    with store.read() as session:
        run = session.get(Run, CHILD)
        assert (run.core_hours, run.inherited_core_hours) == (pytest.approx(2 * 90 / 3600), 0.0)


def test_nobody_waits_for_a_parent_that_nobody_trains(store):
    child, parent = family()
    accepted(store, child, parent)
    accepted(store, child, name="other")
    accepted(store, a_run("c" * 16))  # the first experiment wants neither any more
    assert may_start(store) == ({CHILD, "c" * 16}, {})


def test_nobody_waits_for_a_parent_that_was_begun_without_knowing_of_it(store):
    child, parent = family()
    accepted(store, {**parent, "options": RunOptions()})
    granted(store, PARENT)
    accepted(store, child, parent)
    assert may_start(store) == ({CHILD}, {})


def test_two_experiments_share_a_parent_that_keeps_the_checkpoints_of_both(store):
    child, parent = family()
    accepted(store, child, parent, name="one")
    other = a_run("c" * 16, epochs=2.0, steps=200, options=child["options"], parent_id=PARENT, parent_step=160)
    accepted(store, other, {**parent, "options": RunOptions(trunk="t", checkpoint_at=(160, 320))}, name="two")
    assert granted(store, PARENT).options.checkpoint_at == (80, 160, 320)


def test_a_budget_that_has_no_room_for_the_parent_leaves_the_child_alone(store):
    """With the parent it would cost 4 + 0.2; the budget allows 2; the child alone costs 1."""
    child, parent = family()
    with store.write() as session:
        resolved = {"budget": {"core_hours": 2.0}}
        accept(session, name="poor", file="f", text="", resolved=resolved, shared={}, runs=[child, parent])
    startable_now, reasons = may_start(store, lambda run: {PARENT: 4.0, CHILD: 1.0}[run.id])
    assert startable_now == {CHILD}
    assert "left out by the budget" in reasons[PARENT]
    startable_now, reasons = may_start(store, lambda run: {PARENT: 1.7, CHILD: 1.0}[run.id])
    assert (startable_now, set(reasons)) == ({PARENT}, {CHILD}), "1.7 + 0.2 fit, where 1.7 + 1 would not"


def test_shared_steps_are_charged_once_and_count_in_both(store):
    """The parent's steps before the branch took 72 s of two cores; the child's own 20 steps 18 s."""
    accepted(store, *family())
    first = granted(store, PARENT)
    progress(store, first, checkpoints=[(50, 45.0)])
    ended(store, first, AttemptOutcome.PREEMPTED, useful=45.0)
    second = granted(store, PARENT)
    progress(store, second, first_step=50, checkpoints=[(80, 27.0)])
    branched = granted(store, CHILD)
    progress(store, branched, first_step=80, checkpoints=[(100, 18.0)])
    ended(store, branched, useful=18.0, startup=3.0)
    progress(store, second, first_step=50, checkpoints=[(400, 315.0)])
    ended(store, second, useful=315.0)
    with store.read() as session:
        child, parent = session.get(Run, CHILD), session.get(Run, PARENT)
        assert child.core_hours == pytest.approx(2 * 90 / 3600), "as if it had been done alone"
        assert child.inherited_core_hours == pytest.approx(2 * 72 / 3600)
        assert child.allocated_core_hours == pytest.approx(2 * 21 / 3600), "what devices were held for it"
        assert parent.core_hours == pytest.approx(2 * 360 / 3600)
        (row,) = queries.experiments(session)
        assert row["spent_core_hours"] == pytest.approx(2 * (360 + 18) / 3600)
        assert row["core_hours"] == pytest.approx(2 * (360 + 90) / 3600)
        assert row["saved"] == pytest.approx(72 / 450)
        assert lineage_of(session, CHILD).shares == (
            Share(1, f"/home/{PARENT}/1", 0, 50, PARENT),
            Share(2, f"/home/{PARENT}/2", 50, 80, PARENT),
            Share(1, f"/home/{CHILD}/1", 80, 100, CHILD),
        )


@pytest.mark.parametrize(("begins", "inherited"), [(40, 36.0), (0, 0.0)])
def test_a_damaged_branch_point_makes_the_child_pay_for_what_it_does_again(store, begins, inherited):
    accepted(store, *family())
    parent = granted(store, PARENT)
    progress(store, parent, checkpoints=[(40, 36.0), (80, 72.0)])
    child = granted(store, CHILD)
    progress(store, child, first_step=begins, checkpoints=[(100, 90.0 - inherited)])
    ended(store, child, useful=90.0 - inherited)
    with store.read() as session:
        run = session.get(Run, CHILD)
        assert run.inherited_core_hours == pytest.approx(2 * inherited / 3600)
        assert run.core_hours == pytest.approx(2 * 90 / 3600)
        assert [(share.first_step, share.stop_step) for share in lineage_of(session, CHILD).shares] == (
            [(0, begins), (begins, 100)] if begins else [(0, 100)]
        )


def test_a_child_that_died_goes_on_from_its_own_checkpoint_or_branches_again(store):
    accepted(store, *family())
    progress(store, granted(store, PARENT), checkpoints=[(80, 72.0)])
    first = granted(store, CHILD)
    progress(store, first, first_step=80)
    ended(store, first, AttemptOutcome.DIED)
    second = granted(store, CHILD)
    assert (second.resume_folder, second.resume_step) == (f"{PARENT}/1", 80)
    progress(store, second, first_step=80, checkpoints=[(90, 9.0)])
    ended(store, second, AttemptOutcome.DIED, useful=9.0)
    third = granted(store, CHILD)
    assert (third.resume_folder, third.resume_step, third.parent) == (f"{CHILD}/2", 90, PARENT)
    progress(store, third, first_step=90, checkpoints=[(100, 9.0)])
    ended(store, third, useful=9.0)
    with store.read() as session:
        run = session.get(Run, CHILD)
        assert run.inherited_core_hours == pytest.approx(2 * 72 / 3600)
        assert run.core_hours == pytest.approx(2 * 90 / 3600)
        assert [share.run_id[0] for share in lineage_of(session, CHILD).shares] == ["a", "b", "b"]


def test_a_run_that_was_begun_alone_owes_nothing_to_a_parent_that_comes_later(store):
    child, parent = family()
    accepted(store, {**child, "parent_id": None, "parent_step": None})
    first = granted(store, CHILD)
    progress(store, first, checkpoints=[(90, 81.0)])
    ended(store, first, AttemptOutcome.PREEMPTED, useful=81.0)
    accepted(store, child, parent)
    progress(store, granted(store, PARENT), checkpoints=[(80, 72.0)])
    second = granted(store, CHILD)
    assert (second.resume_folder, second.resume_step) == (f"{CHILD}/1", 90)
    progress(store, second, first_step=90, checkpoints=[(100, 9.0)])
    ended(store, second, useful=9.0)
    with store.read() as session:
        run = session.get(Run, CHILD)
        assert (run.inherited_core_hours, run.core_hours) == (0.0, pytest.approx(2 * 90 / 3600))


def test_devices_of_another_kind_share_no_trunk(store):
    child, parent = family()
    accepted(store, {**child, "resources": Resources("H100", 1)}, parent)
    progress(store, granted(store, PARENT), checkpoints=[(80, 72.0)])
    assert CHILD in may_start(store)[0]
    alone = granted(store, CHILD)
    assert (alone.resume_folder, alone.resume_step) == (None, 0)


def test_a_longer_budget_that_is_added_goes_on_from_where_the_longest_began_to_decay(store):
    child, parent = family()
    accepted(store, child, parent)
    grant = granted(store, PARENT)
    progress(store, grant, checkpoints=[(80, 72.0), (320, 288.0), (400, 360.0)])
    ended(store, grant, useful=360.0)
    longer = a_run("c" * 16, epochs=8.0, steps=800, options=RunOptions(trunk="t", checkpoint_at=(80, 320, 640)))
    children = [{**child, "parent_id": "c" * 16}, {**parent, "parent_id": "c" * 16, "parent_step": 320}]
    accepted(store, *children, longer)
    with store.read() as session:
        assert (session.get(Run, "c" * 16).parent_id, session.get(Run, "c" * 16).parent_step) == (PARENT, 320)
        assert session.get(Run, CHILD).parent_id == PARENT, "its branch point is there already"
        assert session.get(Run, PARENT).parent_id is None, "a run that has begun keeps its beginning"
        assert session.get(Run, PARENT).status is RunStatus.FINISHED
    assert may_start(store)[0] == {CHILD, "c" * 16}
    assert granted(store, "c" * 16).resume_step == 320


def test_curves_of_a_branch_begin_with_the_trunk(store):
    accepted(store, *family())
    parent = granted(store, PARENT)
    progress(store, parent, checkpoints=[(80, 72.0)])
    child = granted(store, CHILD)
    progress(store, child, first_step=80)
    with store.write() as session:
        ledger.record(session, parent.token, metrics=[(step, "train_loss", step / 100) for step in (40, 80, 120)])
        ledger.record(session, child.token, metrics=[(90, "train_loss", 0.1)])
    with store.read() as session:
        assert queries.metrics(session, CHILD) == {"train_loss": [(40, 0.4), (80, 0.8), (90, 0.1)]}


def test_checkpoints_that_a_run_may_yet_start_from_stay(store):
    accepted(store, *family())
    parent = granted(store, PARENT)
    progress(store, parent, checkpoints=[(80, 72.0), (320, 288.0), (400, 360.0)])
    ended(store, parent, useful=360.0)

    def kept():
        with store.read() as session:
            return [(row["keep_step"], row["branch_steps"]) for row in checkpoint_owners(session) if row["run_id"] == PARENT]

    assert kept() == [(400, [80])]
    child = granted(store, CHILD)
    progress(store, child, first_step=80, checkpoints=[(100, 18.0)])
    ended(store, child, useful=18.0)
    assert kept() == [(400, [])]
