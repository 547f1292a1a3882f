"""The two-trial search on a loss whose optimum is known: the rates it finds, the trials it takes, and that nothing but results decides."""

import itertools
import math
import random

import pytest
from sqlalchemy import select

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.search.advance import Searches, states_of
from orchestrator.search.replay import Result, replay
from orchestrator.search.two_trial import Forecast, Move, next_move
from orchestrator.store import Store, ledger, queries, searches
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run
from scaling.errors import SpecError
from scaling.outcomes import AttemptOutcome, RunStatus
from trainer.surface import Surface

GRID = """\
name: search
dataset: {{name: digits}}
models: [{models}]
epochs: {epochs}
batch_size: 64
learning_rate: {learning_rate}
seeds: {seeds}
{extra}
simulate: {{loss: {{noise: 0, {loss}}}}}
"""
SURFACE = "curvature: 0.05, lr_reference_params: 3000, lr_falls: 0.35, lr_falls_faster: 0.1"


@pytest.fixture
def plan_of(tmp_path):
    return in_folder(tmp_path)


def in_folder(folder):
    """Return a function that makes a plan of searches from a file in this folder."""

    def make(
        models="nano-F0, nano-F1, nano-F3",
        epochs="[1, 2, 4, 8]",
        learning_rate="{policy: two-trial, start: 1.6, factor: 2}",
        seeds="[0]",
        loss=SURFACE,
        extra="",
    ):
        path = folder / "grid.yaml"
        path.write_text(GRID.format(models=models, epochs=epochs, learning_rate=learning_rate, seeds=seeds, loss=loss, extra=extra))
        return make_plan(*read_spec(path))

    return make


def surface_of(row):
    return Surface(**row["config"]["model"]["surface"])


def outcome_of(row):
    """How a run of the stated surface ends."""
    surface, best = surface_of(row), surface_of(row).best_learning_rate(row["params"], row["epochs"])
    if row["learning_rate"] > surface.diverges_above * best:
        return Result()
    return Result(surface.loss(row["params"], row["examples_seen"], row["epochs"], row["learning_rate"]))


class Trainers:
    """Runs that are under way at once and end in any order."""

    def __init__(self, plan, *, at_once=1, seed=0, outcome=outcome_of):
        self.cells, self.at_once, self.random, self.outcome = plan.cells, at_once, random.Random(seed), outcome
        self.results, self.most_under_way = {}, 0

    def see_through(self):
        while True:
            states = replay(self.cells, self.results.get)
            due = [row for state in states for row in state.runs if row["id"] not in self.results]
            self.most_under_way = max(self.most_under_way, len(due))
            if not due:
                return states
            for row in self.random.sample(due, min(self.at_once, len(due))):
                self.results[row["id"]] = self.outcome(row)


@pytest.mark.parametrize(
    "loss",
    [
        SURFACE,
        "curvature: 0.01",
        "curvature: 0.2, lr_reference_params: 3000, lr_best: 1.0, lr_falls: 0.6, lr_falls_faster: 0.2",
        "curvature: 0.05, lr_best: 2.0, lr_falls: 0, lr_falls_faster: 0",
        "curvature: 0.05, lr_reference_params: 3000, lr_best: 40, lr_falls: 0.3, lr_falls_faster: 0",
    ],
)
def test_every_cell_ends_at_the_best_rate_of_the_grid(plan_of, loss):
    states = Trainers(plan_of(loss=loss)).see_through()
    for state in states:
        row = state.runs[0]
        losses = {
            step: surface_of(row).loss(row["params"], row["examples_seen"], row["epochs"], state.cell.policy.rate(step))
            for step in range(-12, 12)
        }
        assert state.accepted == min(losses, key=losses.get), state.cell.key
    later = [len(state.trials) for state in states if state.forecast is not None]
    assert len(later) == 11
    assert sum(later) / 11 <= 2.2


def test_the_order_in_which_runs_end_makes_no_difference(plan_of):
    plan = plan_of(seeds="[0, 1, 2]")

    def outcome(at_once, seed):
        return [
            (state.cell.key, state.accepted, [row["id"] for row in state.runs])
            for state in Trainers(plan, at_once=at_once, seed=seed).see_through()
        ]

    first = outcome(1, 0)
    for at_once, seed in itertools.product((1, 3, 20), range(3)):
        assert outcome(at_once, seed) == first


def test_independent_cells_go_on_in_parallel(plan_of):
    trainers = Trainers(plan_of(), at_once=100)
    trainers.see_through()
    assert trainers.most_under_way == 6  # two trials in each of three cells of an anti-diagonal


def test_the_rate_found_is_trained_on_every_seed_and_searched_on_the_first(plan_of):
    states = Trainers(plan_of(seeds="[3, 4, 5]")).see_through()
    assert len(states) == 12
    for state in states:
        assert {row["seed"] for rows, _ in state.trials.values() for row in rows} == {3}
        assert [(row["seed"], row["learning_rate"]) for row in state.repeats] == [
            (4, state.learning_rate),
            (5, state.learning_rate),
        ]


def test_a_search_on_all_seeds_goes_by_their_mean(plan_of):
    """The first seed is misled: its losses are as if the best rate were 16 times lower."""

    def outcome(row):
        return outcome_of(row if row["seed"] else {**row, "learning_rate": row["learning_rate"] * 16})

    surface = f"{SURFACE}, diverges_above: 1000"
    honest = [state.learning_rate for state in Trainers(plan_of(loss=surface)).see_through()]
    policy = "{policy: two-trial, start: 1.6, factor: 2, seeds: %s}"
    first = Trainers(plan_of(loss=surface, seeds="[0, 1, 2]", learning_rate=policy % "first"), outcome=outcome).see_through()
    everyone = Trainers(plan_of(loss=surface, seeds="[0, 1, 2]", learning_rate=policy % "all"), outcome=outcome).see_through()
    distances = [
        [abs(math.log2(state.learning_rate / rate)) for state, rate in zip(states, honest, strict=True)]
        for states in (first, everyone)
    ]
    assert min(distances[0]) >= 3
    assert max(distances[1]) <= 2
    for state in everyone:
        assert state.repeats == []
        assert [[row["seed"] for row in rows] for rows, _ in state.trials.values()] == [[0, 1, 2]] * len(state.trials)


def test_divergence_is_too_high_a_rate_and_no_failure(plan_of):
    states = Trainers(
        plan_of(learning_rate="{policy: two-trial, start: 51.2, factor: 2}", loss=f"{SURFACE}, diverges_above: 3")
    ).see_through()
    diverged = [result for state in states for _, result in state.trials.values() if math.isinf(result.loss)]
    assert len(diverged) >= 3
    assert [state.learning_rate for state in states] == [state.learning_rate for state in Trainers(plan_of()).see_through()]


def test_a_cell_that_fails_is_given_up_and_the_others_go_on(plan_of):
    def outcome(row):
        return (
            Result(failed="a trial failed: the user's mistake")
            if row["epochs"] == 2 and row["model"] == "nano-F1"
            else outcome_of(row)
        )

    states = {state.cell.key[1:3]: state for state in Trainers(plan_of(), outcome=outcome).see_through()}
    assert states.pop(("nano-F1", 2.0)).state == "given-up"
    assert {state.state for state in states.values()} == {"settled"}
    assert all(state.accepted is not None for state in states.values())


def test_the_rates_are_those_that_a_grid_would_list(plan_of):
    policy = plan_of(learning_rate="{policy: two-trial, start: 0.3, factor: 3}").cells[0].policy
    assert [policy.rate(step) for step in (-2, -1, 0, 1)] == [pytest.approx(0.3 / 9), 0.1, 0.3, 0.9]
    plan, listed = plan_of(), plan_of(learning_rate="{grid: [0.1, 0.4, 3.2]}")
    assert {plan.cells[0].run(step, 0)["id"] for step in (-4, -2, 1)} <= {run.id for run in listed.runs}


def test_models_with_policies_of_their_own_do_not_wait_for_each_other(plan_of):
    both = "{nano-F0: {policy: two-trial, start: 1.6}, nano-F1: {policy: two-trial, start: 0.8}}"
    plan = plan_of(models="nano-F0, nano-F1", learning_rate=both)
    asking = [state.cell.key[1:3] for state in replay(plan.cells, {}.get) if state.state == "searching"]
    assert asking == [("nano-F0", 1.0), ("nano-F1", 1.0)]


class TestRule:
    """One cell, by hand: steps are powers of the factor."""

    near, wide = Forecast(first=0, low=-1.5), Forecast(first=0, low=-2.2)

    def test_two_trials_and_the_first_is_accepted_when_it_is_better(self):
        assert next_move({}, self.near) == Move(ask=(0, -1))
        assert next_move({0: 1.0, -1: 1.1}, self.wide) == Move(accepted=0)

    def test_a_quarter_only_when_the_interval_covers_it(self):
        assert next_move({0: 1.1, -1: 1.0}, self.near) == Move(accepted=-1)
        assert next_move({0: 1.1, -1: 1.0}, self.wide) == Move(ask=(-2,))
        assert next_move({0: 1.1, -1: 1.0, -2: 0.9}, self.wide) == Move(accepted=-2)

    def test_below_a_rate_that_diverged_two_are_compared(self):
        assert next_move({0: math.inf, -1: 1.0}, self.near) == Move(ask=(-2,))
        assert next_move({0: math.inf, -1: 1.0, -2: 1.1}, self.near) == Move(accepted=-1)

    def test_below_the_only_rate_that_finished_none_is_tried_once_all_diverged(self):
        assert next_move({0: 1.0, -1: math.inf}, self.wide) == Move(accepted=0)
        assert next_move({0: math.inf, -1: 1.0, -2: math.inf}, self.wide) == Move(accepted=-1)
        assert next_move({0: math.inf, -1: math.inf}, self.wide) == Move(ask=(-2,))

    def test_a_first_cell_walks_until_the_best_lies_between_two_worse(self):
        curve = {step: (step - 2.2) ** 2 for step in range(-3, 6)}
        losses, asked = {}, []
        while (move := next_move(losses, None)).accepted is None:
            asked += move.ask
            losses |= {step: curve[step] for step in move.ask}
        assert (asked, move.accepted) == ([0, -1, 1, 2, 3], 2)

    def test_a_loss_that_never_turns_ends_the_walk(self):
        losses = {step: -float(step) for step in range(12)}
        assert next_move(losses, None) == Move(accepted=11)
        assert "none of 12" in next_move(dict.fromkeys(range(12), math.inf), None).given_up


def test_a_search_in_the_store_asks_in_the_transaction_that_ends_an_attempt(plan_of, tmp_path):
    plan = plan_of(models="nano-F0, nano-F1", epochs="[1, 2]", seeds="[0, 1]")
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted = accept_plan(store, plan)
        assert len(accepted.new) == 1
        while finish_one(store):
            pass
        found = states_of(store, plan.spec.name, plan.cells)
        with store.read() as session:
            cells = searches.cells(session, "search")
            row = queries.experiments(session)[0]
        assert [(cell["state"], cell["trials"]) for cell in cells] == [
            ("settled", len(state.trials)) for state in sorted(found, key=_file_order)
        ]
        assert [cell["learning_rate"] for cell in cells] == [state.learning_rate for state in sorted(found, key=_file_order)]
        assert row["searches"]["settled"] == 4
        assert row["runs"] == {"finished": sum(len(state.runs) for state in found)}
        assert row["estimated_core_hours"] == pytest.approx(
            sum(len(state.runs) * state.cell.template["estimated_core_hours"] for state in found)
        )

        before = store.runs("search")
        assert accept_plan(store, plan).new == []
        assert store.runs("search").equals(before)
        wider = plan_of(models="nano-F0, nano-F1", epochs="[1, 2, 4]", seeds="[0, 1]")
        assert len(accept_plan(store, wider).new) == 2  # of nano-F0 at 4 epochs: nano-F1 waits for it
        assert set(before["id"]) < set(store.runs("search")["id"])
        listed = plan_of(models="nano-F0, nano-F1", epochs="[1, 2, 4]", seeds="[0, 1]", learning_rate="{grid: [0.8, 1.6]}")
        accept_plan(store, listed)
        with store.read() as session:
            assert searches.cells(session, "search") == []
            assert {row["learning_rate"] for row in queries.runs(session, experiment="search")} == {0.8, 1.6}


def _file_order(state):
    return state.cell.model, state.cell.epochs


def finish_one(store):
    """Train the oldest pending run: one transaction for its end and what the search asks then."""
    with store.write() as session:
        run = session.scalar(select(Run).where(Run.status == RunStatus.PENDING).order_by(Run.created_at, Run.id).limit(1))
        if run is None:
            return False
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
        grant = ledger.begin_attempt(session, run.id, allocation_id=allocation, home="/home")
        row = {name: getattr(run, name) for name in ("config", "params", "epochs", "learning_rate", "examples_seen")}
        loss = outcome_of(row).loss
        outcome = AttemptOutcome.DIVERGED if math.isinf(loss) else AttemptOutcome.FINISHED
        ledger.end_attempt(session, grant.token, outcome=outcome, reason="", charge=Charge(), result={"val_loss": loss})
        session.flush()
        Searches().advance(session)
    return True


def test_a_run_that_another_experiment_did_is_not_done_again(plan_of, tmp_path):
    grid = plan_of(models="nano-F0", epochs="[1]", learning_rate="{grid: [0.4, 0.8, 1.6, 3.2, 6.4]}")
    search = plan_of(models="nano-F0", epochs="[1]")
    search = type(search)(
        search.spec.model_copy(update={"name": "other"}), search.document, search.card, search.runs, search.searches
    )
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accept_plan(store, grid)
        while finish_one(store):
            pass
        accepted = accept_plan(store, search)
        assert accepted.new == []
        assert accepted.waiting == []
        assert states_of(store, search.spec.name, search.cells)[0].learning_rate == 1.6
        with store.read() as session:
            assert queries.status_counts(session, "other") == {"finished": 3}


@pytest.mark.parametrize(
    ("rate", "fault"),
    [
        ("{policy: two-trail, start: 1.6}", "6: learning_rate.policy: unknown value 'two-trail'; did you mean \"two-trial\"?"),
        ("{policy: two-trial}", "6: learning_rate: `policy: two-trial` needs `start`"),
        ("{start: 1.6}", "6: learning_rate: give one of `grid: […]`, `at: {epochs: rate}` and `policy: two-trial`"),
        (
            "{policy: two-trial, start: 1.6, grid: [1]}",
            "6: learning_rate: give one of `grid: […]`, `at: {epochs: rate}` and `policy: two-trial`",
        ),
        ("{grid: [1], factor: 2}", "6: learning_rate: `start`, `factor`, `seeds` and `second` are of `policy: two-trial`"),
        ("{policy: two-trial, start: 1.6, factor: 1}", "6: learning_rate.factor: 1 is not allowed: it must be greater than 1"),
        ("{policy: two-trial, start: 0}", "6: learning_rate.start: 0 is not allowed: it must be greater than 0"),
        ("{policy: two-trial, start: 1, epochs: [1], otherwise: 2}", "6: learning_rate: `epochs` and `otherwise` are of a grid"),
        ("{nano-F0: {policy: two-trial, start: 1.6}}", "6: learning_rate: no learning rate for model 'nano-F1'"),
    ],
)
def test_a_policy_that_is_wrong_is_told_with_its_line(plan_of, rate, fault):
    with pytest.raises(SpecError) as caught:
        plan_of(learning_rate=rate)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        (
            "schedule: {name: warmup-stable-decay, reuse_trunk: true}",
            "8: schedule.reuse_trunk: runs share a trunk when their rates are listed",
        ),
        ("early_stop: {}", "8: early_stop: a run stopped on the way tells a search nothing"),
    ],
)
def test_what_a_search_does_not_go_with(plan_of, extra, fault):
    with pytest.raises(SpecError) as caught:
        plan_of(extra=extra)
    assert fault in str(caught.value)
