"""The scheduler without Ray: real workers with real trainer processes, on a cluster of threads; the runs are rehearsals."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from orchestrator.scheduling.policy import SchedulingPolicy
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.store import Store, lease
from orchestrator.store.models import Allocation, Attempt, Metric, Run
from orchestrator.store.steering import Steer, ask
from scaling.errors import ClusterError, UnknownName
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import accepted, rehearsal
from tests.orchestrator.threads import ThreadCluster

ROWS = [("a", "s", 1e9), ("b", "s", 9e9), ("c", "s", 8e9), ("d", "t", 1e9), ("e", "t", 3e9), ("f", "u", 1e9), ("g", "u", 2e9)]
"""Letter of the run, its shape, its cost."""


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


def scheduled(store, cluster, tmp_path, **policy):
    with store.write() as session:
        assert lease.take(session, "one")
    how = SchedulingPolicy(**policy)
    return Scheduler(store, cluster, identity="one", home=tmp_path / "runs", working_directory=Path.cwd(), policy=how)


def rows(wanted="abcdefg", seconds=0.05, **longer):
    """A row a letter; its seed is the letter's place."""
    return [
        rehearsal(longer.get(letter, seconds), seed, shape=shape, train_flops=cost)
        for seed, (letter, shape, cost) in enumerate(ROWS)
        if letter in wanted
    ]


def letter(grant):
    return ROWS[grant.config["seed"]][0]


def letters(store):
    """Of the attempts, in the order in which they began."""
    with store.read() as session:
        seeds = session.scalars(select(Run.seed).join(Attempt, Attempt.run_id == Run.id).order_by(Attempt.id))
        return "".join(ROWS[seed][0] for seed in seeds)


def attempts(store):
    with store.read() as session:
        session.expire_on_commit = False
        return list(session.scalars(select(Attempt).order_by(Attempt.id)))


def statuses(store):
    with store.read() as session:
        return set(session.scalars(select(Run.status)))


def test_each_shape_has_its_canary_before_the_first_goes_on_and_then_priority_comes_first(store, tmp_path):
    """One core, three shapes, and one process for all of them."""
    runs = rows(f=1.5)
    accepted(store, *runs)
    cluster, asked = ThreadCluster(1), []

    def give_priority(running):
        if not asked and any(letter(attempt.grant) == "f" for attempt in running):
            with store.write() as session:
                asked.append(ask(session, Steer.PRIORITY, runs=[runs[4]["id"]], priority=1))

    assert scheduled(store, cluster, tmp_path).run("study", on_tick=give_priority)
    assert letters(store) == "adfebcg"
    assert (len(cluster.opened), statuses(store)) == (1, {RunStatus.FINISHED})


@pytest.mark.parametrize(("order", "expected"), [("longest-first", "abc"), ("cheapest-first", "acb")])
def test_runs_of_a_shape_come_by_their_cost_after_the_canary(store, tmp_path, order, expected):
    accepted(store, *rows("abc"))
    assert scheduled(store, ThreadCluster(1), tmp_path, order=order).run("study")
    assert letters(store) == expected


def test_a_second_worker_comes_once_the_program_is_compiled(store, tmp_path):
    accepted(store, *rows("abc", 1.0))
    cluster, seen = ThreadCluster(2), set()

    def look(running):
        with store.read() as session:
            compiled = session.scalar(select(func.count()).where(Metric.name == "compile_seconds")) > 0
        if running:
            seen.add((len(cluster.opened), compiled))

    assert scheduled(store, cluster, tmp_path).run("study", on_tick=look)
    assert {(1, False), (2, True)} <= seen
    assert (2, False) not in seen


def test_a_run_whose_worker_is_taken_away_goes_on_elsewhere_at_no_cost_to_its_retries(store, tmp_path):
    accepted(store, *rows("a", 2.0))
    cluster = ThreadCluster(1)

    def take_away(running):
        if any(attempt.checkpoint_step for attempt in attempts(store)):
            cluster.opened[0].is_gone = True

    assert scheduled(store, cluster, tmp_path, checkpoint_seconds=0.5).run("study", on_tick=take_away)
    first, second = attempts(store)
    assert (first.outcome, second.outcome) == (AttemptOutcome.PREEMPTED, AttemptOutcome.FINISHED)
    assert 0 < second.first_step == first.checkpoint_step
    with store.read() as session:
        assert session.scalar(select(Run.failures)) == 0
        assert [allocation.ended_at is None for allocation in session.scalars(select(Allocation))] == [False, False]


def test_what_the_cluster_has_not_ends_the_call_and_not_the_run(store, tmp_path):
    accepted(store, *rows())
    with pytest.raises(ClusterError, match="a run needs 1 cpu core; there are 0"):
        scheduled(store, ThreadCluster(0), tmp_path).run("study")
    assert statuses(store) == {RunStatus.PENDING}


def test_a_policy_names_the_orders_that_there_are():
    with pytest.raises(UnknownName, match="longest"):
        SchedulingPolicy(order="longest")
    policy = SchedulingPolicy(order="cheapest-first", hang_seconds=7.0)
    assert SchedulingPolicy.from_dict(policy.to_dict()) == policy
