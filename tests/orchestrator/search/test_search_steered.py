"""Searches whose trials fail, are cancelled, put aside or stopped, here or in another experiment."""

import pytest
from sqlalchemy import event, select

from orchestrator.planning.accept import accept_plan
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.search.advance import Searches, states_of
from orchestrator.search.replay import Result, replay
from orchestrator.store import Store, lease, ledger, queries, searches, steering
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run, Search
from orchestrator.store.steering import Steer
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.search.test_replay import Trainers, finish_one, outcome_of, plan_of  # noqa: F401 - a fixture


@pytest.fixture
def store(tmp_path):
    """Any kind of store does: only SQL that the other tests of the store run on both."""
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


@pytest.fixture
def plan(plan_of):  # noqa: F811
    return plan_of(models="nano-F0, nano-F1", epochs="[1, 2]", seeds="[0, 1]")


def named(plan, name):
    return type(plan)(plan.spec.model_copy(update={"name": name}), plan.document, plan.card, plan.runs, plan.searches)


def finish_all(store):
    while finish_one(store):
        pass


def steer(store, what, **options):
    """Asked and done: no scheduler is at work."""
    with store.write() as session:
        steering.ask(session, what, **options)


def states_in(store, experiment="search"):
    with store.read() as session:
        return {(cell["model"], cell["epochs"]): cell["state"] for cell in searches.cells(session, experiment)}


def counts(store, experiment="search"):
    with store.read() as session:
        return queries.status_counts(session, experiment)


def end_as(store, status, *, epochs=1.0, model="nano-F0", reason="the user's mistake"):
    """As if the first run of a cell had ended otherwise; its id."""
    with store.write() as session:
        run = session.scalar(select(Run).filter_by(model=model, epochs=epochs, seed=0).order_by(Run.created_at, Run.id).limit(1))
        run.status, run.reason, run.val_loss = status, reason, None
        return run.id


@pytest.mark.parametrize("experiment", ["search", None])
def test_an_experiment_that_is_cancelled_asks_for_nothing_more(store, plan, experiment):
    accept_plan(store, plan)
    for _ in range(4):  # the first cell is found, two others search
        finish_one(store)
    steer(store, Steer.CANCEL, experiment=experiment)
    with store.write() as session:
        assert not Searches().advance(session)
    assert set(states_in(store).values()) == {"settled", "cancelled"}
    assert not {"pending", "running"} & set(counts(store))

    accept_plan(store, named(plan, "other"))  # which wants the same runs, and has them
    finish_all(store)
    assert states_in(store, "other") == dict.fromkeys(states_in(store), "settled")
    assert len(store.runs("search")) < len(store.runs("other"))
    assert accept_plan(store, plan).new == []
    finish_all(store)
    assert set(states_in(store).values()) == {"settled"}
    assert set(store.runs("search")["id"]) == set(store.runs("other")["id"])


def test_an_experiment_that_is_retried_searches_again(store, plan):
    accept_plan(store, plan)
    steer(store, Steer.CANCEL, experiment="search")
    steer(store, Steer.RETRY, experiment="search")
    finish_all(store)
    assert set(states_in(store).values()) == {"settled"}


def test_a_cancelled_trial_holds_its_cell_and_those_above_and_says_so(store, plan):
    accept_plan(store, plan)
    finish_one(store)
    with store.read() as session:
        trial = session.scalar(select(Run.id).where(Run.status == RunStatus.PENDING))
    steer(store, Steer.CANCEL, runs=[trial])
    with store.write() as session:
        assert not Searches().advance(session)
        told = searches.progress(session, "search")
    assert set(states_in(store).values()) == {"searching", "waiting"}
    assert told["stuck"] == [
        "nano-F0, 1 epoch: searching, a trial was cancelled; `scaling retry` or submitting again lets the search go on"
    ]
    steer(store, Steer.RETRY, runs=[trial])
    finish_all(store)
    assert set(states_in(store).values()) == {"settled"}


def test_independent_cells_go_on_beside_one_that_is_held(plan_of):  # noqa: F811
    plan = plan_of()
    held = {"nano-F1": Result(held="cancelled")}
    states = Trainers(plan, outcome=lambda row: held.get(row["model"]) or outcome_of(row)).see_through()
    assert {(state.cell.model, state.state) for state in states if state.cell.model == "nano-F0"} == {("nano-F0", "settled")}
    assert {state.state for state in states if state.cell.model == "nano-F3"} == {"waiting"}


def test_submitting_again_after_a_failed_trial_keeps_what_was_done(store, plan):
    accept_plan(store, plan)
    finish_all(store)
    before = set(store.runs("search")["id"])
    end_as(store, RunStatus.FAILED)
    again = accept_plan(store, plan)
    assert (len(again.again), again.new) == (1, [])
    assert set(store.runs("search")["id"]) == before
    assert counts(store) == {"finished": len(before) - 1, "pending": 1}
    finish_all(store)
    assert set(states_in(store).values()) == {"settled"}
    assert set(store.runs("search")["id"]) == before


def test_a_file_with_another_policy_leaves_the_old_trials(store, plan, plan_of):  # noqa: F811
    accept_plan(store, plan)
    finish_all(store)
    other = plan_of(
        models="nano-F0, nano-F1", epochs="[1, 2]", seeds="[0, 1]", learning_rate="{policy: two-trial, start: 1.5, factor: 2}"
    )
    accept_plan(store, other, revise=True)
    assert counts(store) == {"pending": 1}
    finish_all(store)
    with store.read() as session:
        assert {row["learning_rate"] for row in queries.runs(session, experiment="search")} <= {1.5 * 2.0**k for k in range(-9, 9)}


@pytest.mark.parametrize("status", [RunStatus.PAUSED, RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.STOPPED])
def test_a_run_that_rests_in_another_experiment_goes_on_for_a_search(store, plan_of, status):  # noqa: F811
    grid = plan_of(models="nano-F0", epochs="[1]", learning_rate="{grid: [0.4, 0.8, 1.6, 3.2, 6.4]}")
    accept_plan(store, named(grid, "grid"))
    with store.write() as session:
        for run in session.query(Run):
            run.status, run.reason, run.failures = status, "there", 3
    search = plan_of(models="nano-F0", epochs="[1]")
    accepted = accept_plan(store, search)
    assert (accepted.new, accepted.done, len(accepted.again)) == ([], [], 1)
    finish_all(store)
    assert states_of(store, search.spec.name, search.cells)[0].learning_rate == 1.6
    assert counts(store) == {"finished": 3}
    assert counts(store, "grid") == {"finished": 3, str(status): 2}


def test_why_a_cell_is_given_up_is_kept(store, plan):
    accept_plan(store, plan)
    with store.write() as session:
        run = session.scalar(select(Run))
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
        grant = ledger.begin_attempt(session, run.id, allocation_id=allocation, home="/home")
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.RAISED, reason="no such image", charge=Charge())
        session.flush()
        Searches().advance(session)
        cell = searches.cells(session, "search")[0]
    assert (cell["state"], cell["reason"]) == ("given-up", "a trial failed: no such image")
    finish_all(store)
    with store.read() as session:
        told = searches.progress(session, "search")
    assert (told["settled"], told["given_up"], told["open"]) == (3, 1, 0)


def test_retrying_a_trial_opens_a_search_that_was_over(store, plan):
    accept_plan(store, plan)
    search = Searches()
    finish_all(store)
    trial = end_as(store, RunStatus.FAILED)
    with store.write() as session:
        search.advance(session)
    assert states_in(store)["nano-F0", 1.0] == "given-up"
    steer(store, Steer.RETRY, runs=[trial])
    with store.write() as session:
        search.advance(session)
    assert states_in(store)["nano-F0", 1.0] == "searching"
    finish_one(store)
    with store.write() as session:
        search.advance(session)
    assert set(states_in(store).values()) == {"settled"}


def test_searches_that_are_over_cost_a_scheduler_nothing(store, plan):
    for name in ("search", "b", "c", "d"):
        accept_plan(store, named(plan, name))
    finish_all(store)
    search, sent = Searches(), []
    with store.write() as session:
        search.advance(session)
        event.listen(session.get_bind(), "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
        search.advance(session)
    assert len(sent) <= 3


def test_users_wishes_are_followed_by_the_rules(store, plan, tmp_path):
    """A run that was asked to be cancelled while it was trained ends only when the wish is carried out, and that may be what a search waits for."""
    accept_plan(store, plan)
    seen = []

    def rule(session):
        seen.append({str(run.status) for run in session.scalars(select(Run))})
        return False

    with store.write() as session:
        assert lease.take(session, "me", lease.Watch())
        steering.ask(session, Steer.CANCEL, experiment="search")
    scheduler = Scheduler(store, NoCluster(), identity="me", home=tmp_path, working_directory=tmp_path, rules=[rule])
    scheduler._steer()
    assert seen == [{"cancelled"}]


class NoCluster:
    """What a scheduler that starts nothing asks of one."""

    is_own = True


def test_a_loss_of_zero_ends_no_search(plan_of):  # noqa: F811
    def outcome(row):
        return Result(0.0) if row["model"] == "nano-F0" and row["learning_rate"] <= 1.6 else outcome_of(row)

    states = Trainers(plan_of(), outcome=outcome).see_through()
    assert {state.state for state in states} == {"settled"}
    everywhere = Trainers(plan_of(), outcome=lambda row: Result(0.0)).see_through()
    assert {state.state for state in everywhere} == {"settled"}


def test_a_search_row_of_an_older_state_is_worked_out_anew(store, plan):
    accept_plan(store, plan)
    finish_all(store)
    with store.write() as session:
        for search in session.scalars(select(Search)):
            search.state, search.trials, search.learning_rate = "waiting", 0, None
    with store.write() as session:
        Searches().advance(session)
    assert set(states_in(store).values()) == {"settled"}
    assert {state.state for state in replay(plan.cells, {}.get)} == {"searching", "waiting"}
