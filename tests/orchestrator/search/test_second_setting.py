"""A search over a second setting, weight decay or batch size, on surfaces whose optimum is known: what it finds, and by how many trials."""

import itertools
import math
import random
from dataclasses import dataclass, replace
from statistics import mean

import pytest
from sqlalchemy import select

from analysis.cells import cells_of as analysis_cells
from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.search.advance import Searches, states_of
from orchestrator.search.cells import Policy, SearchedCell, Second
from orchestrator.search.replay import Result, replay
from orchestrator.search.report import search_report
from orchestrator.search.two_trial import LEAST_GAIN, Move, walk
from orchestrator.store import Store, ledger, searches
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run
from scaling.errors import SpecError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.earlier_stores import downgraded
from trainer import TrainConfig, data

POLICY = Policy(1.0, 2.0, (0,), second=Second("weight_decay", 1.0, 2.0))
SIZES, BUDGETS = {"small": 1000, "medium": 2000, "large": 4000}, (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Truth:
    """A surface in log2: the best rate is `rate` − s·epochs − t·size, the best second value `second` + p·epochs + q·size; log loss is a bowl about them.

    tilt: correlation of the bowl's axes, the interaction of both.
    """

    rate: float = -0.4
    s: float = 0.2
    t: float = 0.1
    second: float = 0.6
    p: float = -0.3
    q: float = -0.1
    curvature: float = 0.025
    tilt: float = 0.0
    noise: float = 0.0

    def best(self, cell):
        epochs, size = math.log2(cell.epochs), math.log2(cell.params / 1000)
        return self.rate - self.s * epochs - self.t * size, self.second + self.p * epochs + self.q * size

    def excess(self, cell, rate, second):
        x, y = (step - best for step, best in zip((rate, second), self.best(cell), strict=True))
        return self.curvature * (x * x + y * y + 2 * self.tilt * x * y)


TRUTHS = {
    "falls": Truth(),
    "rises": Truth(p=0.4, q=0.2),
    "does not move": Truth(p=0, q=0),
    "interaction": Truth(tilt=0.5),
    "rises, with an interaction": Truth(p=0.4, q=0.2, tilt=-0.5),
    "the rate rises with it": Truth(s=-0.3, t=-0.1, p=0.5),
    "starts far off": Truth(rate=-3, second=-4),
    "noise": Truth(noise=0.01, tilt=-0.3),
    "rises, noise": Truth(p=0.4, q=0.2, noise=0.01),
    "much noise": Truth(curvature=0.07, noise=0.05),
}


def cells_of(policy=POLICY):
    return [SearchedCell("f", name, size, epochs, policy, {}) for name, size in SIZES.items() for epochs in BUDGETS]


def search(truth, seed, *, at_once=10**6):
    """Runs that end in any order, `at_once` of them between two looks."""
    chance, results, cells = random.Random(seed), {}, cells_of()
    by_key = {cell.key: cell for cell in cells}
    while True:
        states = replay(cells, results.get, lambda cell, step, seed, second: {"id": (cell.key, step, second), "seed": seed})
        due = [row["id"] for state in states for row in state.runs if row["id"] not in results]
        if not due:
            return states
        for run in chance.sample(due, min(at_once, len(due))):
            key, rate, second = run
            noise = truth.noise * random.Random(f"{seed} {run}").gauss(0, 1)
            results[run] = Result(math.exp(truth.excess(by_key[key], rate, second) + noise))


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_both_are_found_within_a_step_in_nine_cells_of_ten_and_five_trials(truth):
    draws = [search(truth, seed) for seed in range(10 if truth.noise else 1)]
    near, trials = [], []
    for state in itertools.chain(*draws):
        assert state.state == "settled"
        off = [abs(found - best) for found, best in zip((state.accepted, state.second), truth.best(state.cell), strict=True)]
        near.append(max(off) <= 1)
        trials += [len(state.trials)] if state.forecast else []
    assert mean(near) >= 0.9
    assert 4 <= mean(trials) <= (6 if truth.noise else 5.2)


@pytest.mark.parametrize("name", ["falls", "rises, with an interaction", "starts far off"])
def test_without_noise_what_is_found_has_none_better_beside_it(name):
    """Where the second value stayed as it was proposed, the trend closes the upper side of the rate, as without a second setting."""
    truth = TRUTHS[name]
    for state in search(truth, 0):
        here = truth.excess(state.cell, state.accepted, state.second) - LEAST_GAIN
        moved = state.forecast is None or state.second != next(iter(state.trials)).second
        along = [(0, -1), (0, 1)] + ([(-1, 0), (1, 0)] if moved else [])
        for rate, second in along:
            assert here <= truth.excess(state.cell, state.accepted + rate, state.second + second), state.cell.key


def test_the_order_in_which_runs_end_makes_no_difference():
    def outcome(at_once, seed):
        states = search(replace(TRUTHS["rises"], noise=0.0), seed, at_once=at_once)
        return [(state.cell.key, state.accepted, state.second, list(state.trials)) for state in states]

    first = outcome(1, 0)
    assert all(outcome(at_once, seed) == first for at_once, seed in itertools.product((1, 4, 100), (1, 2)))


def test_a_flat_loss_moves_nothing_and_ends():
    states = replay(cells_of(), lambda run: Result(1.0), lambda cell, step, seed, second: {"id": (cell.key, step, second)})
    assert {state.second for state in states} == {0}
    assert {len(state.trials) for state in states if state.forecast} <= {4, 5}


def test_a_walk_goes_on_until_none_is_better_on_either_side():
    assert walk({0: 1.0}, 0) == Move(ask=(-1, 1))
    assert walk({0: 1.0, -1: 1.1, 1: 0.9}, 0) == Move(ask=(2,))
    assert walk({0: 1.0, -1: 1.1, 1: math.inf}, 0) == Move(accepted=0)
    assert walk({0: 1.0, -1: 1.0, 1: 0.9999}, 0) == Move(accepted=0)
    assert walk({0: 1.0, 1: 1.1}, 0, is_possible=lambda step: step >= 0) == Move(accepted=0)


FILE = """\
name: second
dataset: {{name: digits}}
models: [nano-F0, nano-F1]
epochs: [1, 2]
batch_size: 64
optimizer: {optimizer}
learning_rate: {{policy: two-trial, start: 0.8, second: {second}}}
seeds: [0, 1]
{extra}
"""


@pytest.fixture
def plan_of(tmp_path):
    def make(second="{weight_decay: {start: 0.05, factor: 3}}", optimizer="{name: adamw}", extra="simulate: {loss: {noise: 0}}"):
        path = tmp_path / "second.yaml"
        path.write_text(FILE.format(second=second, optimizer=optimizer, extra=extra))
        return make_plan(*read_spec(path))

    return make


def test_a_trial_is_the_run_that_a_file_with_these_values_would_list(plan_of, tmp_path):
    cell = plan_of().cells[0]
    path = tmp_path / "listed.yaml"
    listed = FILE.replace("policy: two-trial, start: 0.8, second: {second}", "grid: [0.8, 1.6]")
    path.write_text(listed.format(optimizer="{name: adamw, weight_decay: 0.15}", extra="simulate: {loss: {noise: 0}}"))
    there = make_plan(*read_spec(path))
    theirs = {run.id: run.row(there.resources, there.options) for run in there.runs}
    for step, seed in itertools.product((0, 1), (0, 1)):
        row = cell.run(step, seed, 1)
        assert row == theirs[row["id"]]


def test_a_batch_size_changes_steps_shape_and_what_is_packed(plan_of, tmp_path):
    extra = "execution: {pack: 4}"
    cell = plan_of("{batch_size: {start: 32}}", "sgd", extra).cells[0]
    for second, size in ((-2, 8), (0, 32), (1, 64)):
        row = cell.run(0, 1, second)
        config = TrainConfig.from_dict(row["config"])
        assert (row["batch_size"], config.batch_size, config.learning_rate) == (size, size, 0.8)
        assert (row["steps"], row["shape"]) == (data.Order.of(config).steps, config.shape_id())
    packs = {cell.run(step, seed, second)["options"].alike for step, seed, second in itertools.product((0, 1), (0, 1), (0, 1))}
    assert len(packs) == 2
    listed = FILE.replace("policy: two-trial, start: 0.8, second: {second}", "grid: [0.8, 1.6]")
    (tmp_path / "listed.yaml").write_text(listed.format(optimizer="sgd", extra=extra))
    there = make_plan(*read_spec(tmp_path / "listed.yaml"))
    theirs = {run.id: run.row(there.resources, there.options) for run in there.runs}
    row = cell.run(1, 0, 1)
    assert row == theirs[row["id"]]


def test_only_batches_that_the_data_and_the_schedule_allow_are_tried(plan_of):
    batches = "{batch_size: {start: 256}}"
    cell = plan_of(batches, "sgd", "augment: {flip: true, repeats: 4}").cells[0]
    assert [step for step in range(-9, 4) if cell.is_possible(step)] == [
        -6,
        -5,
        -4,
        -3,
        -2,
        -1,
        0,
        1,
        2,
    ]  # 4 … 1,024 of 1,347 examples
    cell = plan_of("{batch_size: {start: 8}}", "sgd", "").cells[0]
    assert [step for step in range(-5, 0) if cell.is_possible(step)] == [-2, -1]  # a batch of 1 has no statistics
    cell = plan_of(batches, "sgd", "execution: {micro_batch: 64}").cells[0]
    assert [step for step in range(-9, 4) if cell.is_possible(step)] == [-2, -1, 0, 1, 2]
    cell = plan_of("{batch_size: {start: 64}}", "sgd", "schedule: {name: constant, warmup: {steps: 15}}").cells[0]
    assert [step for step in range(-3, 4) if cell.is_possible(step)] == [
        -3,
        -2,
        -1,
        0,
    ]  # 1,347 examples are 22 steps of 64, and 11 of 128


def surface_loss(run):
    """Best at a weight decay of 0.45, two steps of 3 from the start, and a rate of 0.4."""
    decay = run.config["optimizer"]["weight_decay"]
    return 1 + 0.1 * math.log2(run.learning_rate / 0.4) ** 2 + 0.1 * math.log(decay / 0.45, 3) ** 2


def finish_one(store):
    with store.write() as session:
        run = session.scalar(select(Run).where(Run.status == RunStatus.PENDING).order_by(Run.created_at, Run.id).limit(1))
        if run is None:
            return False
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
        grant = ledger.begin_attempt(session, run.id, allocation_id=allocation, home="/home")
        result = {"val_loss": surface_loss(run)}
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(), result=result)
        session.flush()
        Searches().advance(session)
    return True


def test_the_store_says_what_was_found_and_a_file_submitted_again_asks_for_nothing_new(plan_of, tmp_path):
    plan = plan_of()
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accept_plan(store, plan)
        while finish_one(store):
            pass
        with store.read() as session:
            cells, told = searches.cells(session), searches.progress(session, "second")
            report = search_report(session, "second")
        assert {(cell["state"], cell["learning_rate"], cell["second"], cell["second_value"]) for cell in cells} == {
            ("settled", 0.4, "weight_decay", 0.45)
        }
        assert told["found"][0] == "nano-F0, 1 epochs: learning rate 0.4, weight decay 0.45"
        assert [cell.second_value for cell in report.cells] == [0.45] * 4
        assert [cell.trials for cell in report.cells][1:] == [5, 5, 5] or report.trials_per_cell < 7
        runs = store.runs("second")
        assert set(runs["searched"]) == {"weight_decay"}
        assert {0.05, 0.15, 0.45} <= set(runs["weight_decay"])
        assert set(cells_in(runs).runs["weight_decay"]) == {0.45}
        before = set(runs["id"])
        again = accept_plan(store, plan)
        assert (again.new, set(store.runs("second")["id"])) == ([], before)
        assert states_of(store, "second", plan.cells)[0].found == "0.4, weight decay 0.45"
        # a trial that is to be done again leaves the others in the experiment
        with store.write() as session:
            run = session.scalar(select(Run).order_by(Run.created_at, Run.id).limit(1))
            run.status, run.val_loss = RunStatus.FAILED, None
        accept_plan(store, plan)
        assert set(store.runs("second")["id"]) == before


def cells_in(runs):
    return analysis_cells(runs.assign(core_hours=runs["train_flops"]), metric="val_loss", x="core_hours")


def test_a_run_that_a_grid_wants_is_searched_in_the_search_alone(plan_of, tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accept_plan(store, plan_of())
        while finish_one(store):
            pass
        listed = FILE.replace("name: second", "name: listed").replace(
            "policy: two-trial, start: 0.8, second: {second}", "grid: [0.4, 0.8]"
        )
        path = tmp_path / "listed.yaml"
        path.write_text(listed.format(optimizer="{name: adamw, weight_decay: 0.05}", extra="simulate: {loss: {noise: 0}}"))
        accept_plan(store, make_plan(*read_spec(path)))
        while finish_one(store):
            pass
        assert set(store.runs("listed")["searched"]) == {""}
        assert set(cells_in(store.runs("listed")).runs["weight_decay"]) == {0.05}
        assert set(store.runs()["searched"]) == {"weight_decay", ""}


def test_policies_of_earlier_stores_are_read_and_stay_the_same():
    stored = {"start": 1.6, "factor": 2.0, "seeds": [0, 1], "searched_seeds": 1, "name": "two-trial"}
    assert Policy.from_dict(stored).to_dict() == stored
    assert Policy.from_dict(POLICY.to_dict()) == POLICY
    assert hash(Policy.from_dict(POLICY.to_dict())) == hash(POLICY)


@pytest.mark.parametrize(
    ("second", "optimizer", "extra", "fault"),
    [
        ("{momentum: {start: 0.9}}", "sgd", "", "7: learning_rate.second.momentum: unknown key 'momentum'"),
        ("{}", "sgd", "", "7: learning_rate.second: give one of `weight_decay` and `batch_size`"),
        ("{weight_decay: {factor: 2}}", "sgd", "", "7: learning_rate.second.weight_decay: key 'start' is missing"),
        ("{weight_decay: {start: 0}}", "sgd", "", "7: learning_rate.second.weight_decay.start: 0 is not allowed"),
        ("{weight_decay: {start: 0.1, factor: 1}}", "sgd", "", "7: learning_rate.second.weight_decay.factor: 1 is not allowed"),
        ("{batch_size: {start: 64, factor: 1}}", "sgd", "", "7: learning_rate.second.batch_size.factor: 1 is not allowed"),
        ("{batch_size: {start: 64, factor: 1.5}}", "sgd", "", "7: learning_rate.second.batch_size.factor: 1.5"),
        ("{batch_size: {start: 0}}", "sgd", "", "7: learning_rate.second.batch_size.start: 0 is not allowed"),
        (
            "{batch_size: {start: 4096}}",
            "sgd",
            "",
            "7: learning_rate.second.batch_size.start: a batch of 4096 is larger than the training split of digits (1347 examples)",
        ),
        (
            "{batch_size: {start: 66}}",
            "sgd",
            "augment: {repeats: 4}",
            "7: learning_rate.second.batch_size.start: a batch of 66 cannot hold each example 4 times",
        ),
        (
            "{batch_size: {start: 16}}",
            "sgd",
            "execution: {micro_batch: 32}",
            "7: learning_rate.second.batch_size.start: a micro-batch of 32 is larger than the batch of 16",
        ),
        (
            "{batch_size: {start: 512}}",
            "sgd",
            "schedule: {name: constant, warmup: {steps: 4}}",
            "7: learning_rate.second.batch_size.start: at a batch of 512 a warm-up of 1.52",
        ),
        (
            "{weight_decay: {start: 0.1}}",
            '{name: "optax:sgd"}',
            "",
            "7: learning_rate.second.weight_decay: optimizer optax:sgd has no weight_decay",
        ),
        (
            "{weight_decay: {start: 0.1}}",
            "{name: adamw, weight_decay: 0.05}",
            "",
            "7: learning_rate.second.weight_decay: weight_decay is given twice: 0.05 by optimizer adamw, and by this search",
        ),
    ],
)
def test_what_cannot_be_searched_is_one_line_of_the_file(plan_of, second, optimizer, extra, fault):
    with pytest.raises(SpecError) as caught:
        plan_of(second, optimizer, extra)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert fault in lines[0]


def test_a_program_is_searched_over_what_its_command_takes(tmp_path):
    text = (
        "name: p\ntrainer: {{command: [python, train.py, '{{batch_size}}', '{{learning_rate}}'], program_version: '1'}}\n"
        "models: [{{name: m, params: 10}}]\nepochs: [1]\nbatch_size: 32\n"
        "learning_rate: {{policy: two-trial, start: 0.1, second: {second}}}\n"
    )
    path = tmp_path / "p.yaml"
    (tmp_path / "train.py").write_text("")
    path.write_text(text.format(second="{weight_decay: {start: 0.1}}"))
    with pytest.raises(SpecError, match=r"6: learning_rate.second.weight_decay: the command does not take weight_decay"):
        read_spec(path)
    path.write_text(text.format(second="{batch_size: {start: 64}}"))
    cell = make_plan(*read_spec(path)).cells[0]
    assert [cell.run(0, 0, step)["batch_size"] for step in (-1, 0, 1)] == [32, 64, 128]


def test_a_recipe_has_a_second_setting_of_its_own(tmp_path):
    path = tmp_path / "rivals.yaml"
    path.write_text(
        "name: rivals\ndataset: {name: digits}\nepochs: [1]\nbatch_size: 64\n"
        "models: [nano-F0, {name: w8, width: [8], depth: [1], group_width: 4, stem: medium}]\n"
        "learning_rate: {policy: two-trial, start: 0.4}\n"
        "recipes:\n"
        "  w8:\n"
        "    optimizer: {name: adamw}\n"
        "    learning_rate: {policy: two-trial, start: 0.003, second: {weight_decay: {start: 0.05}}}\n"
    )
    plan = make_plan(*read_spec(path))
    assert [cell.policy.second and cell.policy.second.name for cell in plan.cells] == [None, "weight_decay"]
    assert [search.expected_runs for search in plan.searches] == [2, 5]


def test_runs_of_an_earlier_store_tell_their_weight_decay(plan_of, tmp_path):
    url = f"sqlite:///{tmp_path / 'scaling.db'}"
    with Store.open(url) as store:
        accept_plan(store, plan_of())
        before = store.runs("second")
    assert set(before["weight_decay"]) == {0.05}
    downgraded(url, "0009")
    with Store.open(url) as store:
        assert store.runs("second")["weight_decay"].tolist() == before["weight_decay"].tolist()
