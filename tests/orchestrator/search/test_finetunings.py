"""Which pre-trained runs are fine-tuned, when, and at which rates: by the results of pre-training alone."""

import math

import pytest
import yaml
from sqlalchemy import select

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan, finetuned_status, plan_status
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced
from orchestrator.search.advance import Searches, states_of
from orchestrator.search.cells import Policy, SearchedCell
from orchestrator.search.finetuning import Finetunings, PretrainedCell, chosen
from orchestrator.search.replay import Result, replay
from orchestrator.store import Store, finetunings, ledger, queries, searches, steering
from orchestrator.store.finetunings import Pretrained
from orchestrator.store.grid import waiting_runs
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run
from orchestrator.store.startable import startable
from orchestrator.store.steering import Steer
from orchestrator.store.stopping import spared
from scaling.errors import UsageError
from scaling.outcomes import AttemptOutcome, RunStatus
from trainer.surface import Surface

STUDY = {
    "name": "study",
    "dataset": {"name": "digits"},
    "models": ["nano-F0", "nano-F1"],
    "epochs": [1, 2],
    "batch_size": 64,
    "learning_rate": 1.6,
    "seeds": [0, 1],
    "simulate": {"loss": {"noise": 0}},
    "finetune": {"dataset": {"name": "digits"}, "from": "all", "epochs": 3, "learning_rate": 0.2},
}


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


def plan_of(**changes):
    finetune = STUDY["finetune"] | changes.pop("finetune", {})
    return make_plan(*read_spec(STUDY | {"finetune": finetune} | changes))


def may_start(session):
    return [run.id for run in startable(session, waiting_runs(session), lambda run: None).runs]


def loss_of(run):
    """Return the loss: in pre-training that of the stated surface, in fine-tuning the parent's, least at a rate that the test knows."""
    if run.parent_id:
        return run.parent.val_loss * (1 + 0.1 * math.log(run.learning_rate / 0.1) ** 2)
    surface = Surface(**run.config["model"]["surface"])
    return surface.loss(run.params, run.examples_seen, run.epochs, run.learning_rate)


def finish_one(store, outcome=AttemptOutcome.FINISHED, rule=None):
    """End the oldest run that may start: False where there is none."""
    with store.write() as session:
        ready = may_start(session)
        run = session.scalar(select(Run).where(Run.id.in_(ready)).order_by(Run.created_at, Run.id).limit(1))
        if run is None:
            return False
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
        grant = ledger.begin_attempt(session, run.id, allocation_id=allocation, home="/home")
        ledger.record(session, grant.token, checkpoint_step=run.steps)
        result = {"val_loss": loss_of(run)} if outcome is AttemptOutcome.FINISHED else None
        ledger.end_attempt(session, grant.token, outcome=outcome, reason="why", charge=Charge(useful=1.0), result=result)
        session.flush()
        (rule or Finetunings(Searches()).advance)(session)
        return run.id


def finish_all(store):
    while finish_one(store):
        pass


def tuned(store, experiment="study"):
    return [row for row in store.runs(experiment).to_dict("records") if row["stage"] == "finetuning"]


def test_a_run_is_planned_with_its_parent_and_waits_for_its_weights(store):
    plan = plan_of()
    accepted = accept_plan(store, plan)
    rows = tuned(store)
    assert (len(rows), len(accepted.new)) == (8, 16), "each run of each cell has one: there is one rate"
    assert {row["parent"] for row in rows} == {run.id for run in plan.runs}
    assert all(row["status"] == "pending" for row in rows)
    with store.read() as session:
        seeds = {run.id: run.seed for run in session.scalars(select(Run))}
        reasons = startable(session, waiting_runs(session), lambda run: None).left_out
    assert all(seeds[row["parent"]] == row["seed"] for row in rows)
    for row in rows:
        assert reasons[row["id"]] == f"starts from the weights of run {row['parent']} once that has finished"
    first = finish_one(store)
    with store.read() as session:
        assert [row["id"] for row in rows if row["parent"] == first] == [
            run for run in may_start(session) if run in {row["id"] for row in rows}
        ]


def test_an_attempt_is_told_where_the_weights_are(store):
    accept_plan(store, plan_of())
    first = finish_one(store)
    child = next(row["id"] for row in tuned(store) if row["parent"] == first)
    with store.write() as session:
        grant = ledger.begin_attempt(
            session,
            child,
            allocation_id=ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1),
            home="/home",
        )
        parent = session.get(Run, first)
        assert (grant.weights_folder, grant.weights_step) == (f"{first}/1", parent.steps)
        assert grant.parent == first
        assert grant.resume_folder is None
        assert session.get(Run, child).config["parent"]["run"] == first


@pytest.mark.parametrize("outcome", [AttemptOutcome.RAISED, AttemptOutcome.DIVERGED])
def test_a_run_says_that_its_parent_did_not_finish_and_goes_on_when_it_has(store, outcome):
    accept_plan(store, plan_of())
    parent = finish_one(store, outcome)
    finish_all(store)
    child = next(row["id"] for row in tuned(store) if row["parent"] == parent)
    word = {"raised": "failed", "diverged": "diverged"}[outcome.value]
    with store.read() as session:
        left_out = startable(session, waiting_runs(session), lambda run: None).left_out
    assert left_out == {child: f"not fine-tuned: run {parent}, from whose weights it starts, {word}"}
    if outcome is AttemptOutcome.RAISED:
        with store.write() as session:
            steering.ask(session, Steer.RETRY, runs=[parent])
        finish_all(store)
        assert {row["status"] for row in tuned(store)} == {"finished"}


def test_the_frontier_is_chosen_once_pre_training_is_over_and_nothing_is_done_twice(store):
    plan = plan_of(finetune={"from": "frontier"})
    assert len(accept_plan(store, plan).new) == 8, "nobody knows yet which"
    for _ in range(7):
        finish_one(store)
    assert tuned(store) == []
    finish_one(store)
    cells = {}
    for row in store.runs("study").to_dict("records"):
        if row["stage"] == "pretraining":
            cells.setdefault((row["train_flops"], row["model"], row["epochs"]), []).append(row)
    # Brute force: a cell is on the frontier where no cell of no more FLOPs has as low a loss.
    mean = {key: sum(row["val_loss"] for row in rows) / len(rows) for key, rows in cells.items()}
    best = [key for key in mean if all(mean[other] > mean[key] for other in mean if other != key and other[0] <= key[0])]
    assert sorted(row["parent"] for row in tuned(store)) == sorted(row["id"] for key in best for row in cells[key])
    finish_all(store)
    before = store.runs("study")
    accepted = accept_plan(store, plan)
    assert (accepted.ahead, len(accepted.done)) == (0, len(before))
    assert store.runs("study")["id"].tolist() == before["id"].tolist()


def test_fine_tuning_may_be_added_changed_and_taken_away(store):
    plan = plan_of()
    alone = make_plan(*read_spec({key: value for key, value in STUDY.items() if key != "finetune"}))
    accept_plan(store, alone)
    finish_all(store)
    accepted = accept_plan(store, plan)
    assert (len(accepted.new), len(accepted.done)) == (8, 8)
    finish_all(store)
    accepted = accept_plan(store, plan_of(finetune={"epochs": 2}))
    assert (len(accepted.new), len(accepted.done)) == (8, 8)
    assert {row["epochs"] for row in tuned(store)} == {2.0}, "the others stay in the store, and are not this study's"
    accept_plan(store, alone)
    assert tuned(store) == []
    assert len(accept_plan(store, plan).done) == 16


def test_the_rate_is_searched_for_each_pre_trained_cell_on_its_first_seed(store):
    policy = {"policy": "two-trial", "start": 0.4, "factor": 2}
    plan = plan_of(learning_rate={"policy": "two-trial", "start": 1.6}, finetune={"from": {"top": 1}, "learning_rate": policy})
    accept_plan(store, plan)
    finish_all(store)
    with store.read() as session:
        cells = searches.cells(session, "study")
        assert len([cell for cell in cells if cell["stage"] == "pretraining"]) == 4
        [cell] = [cell for cell in cells if cell["stage"] == "finetuning"]
        parents = {run.id: run for run in session.scalars(select(Run).where(Run.parent_id.is_(None)))}
        rates = {(run["learning_rate"], run["seed"]) for run in tuned(store)}
    assert (cell["model"], cell["epochs"], cell["state"], cell["learning_rate"]) == ("nano-F1", 2.0, "settled", 0.1)
    assert (0.1, 1) in rates
    assert {seed for rate, seed in rates if rate != 0.1} == {0}
    for row in tuned(store):
        parent = parents[row["parent"]]
        assert (parent.seed, parent.epochs, parent.model) == (row["seed"], 2.0, "nano-F1")
        best = next(cell for cell in cells if (cell["model"], cell["epochs"], cell["stage"]) == ("nano-F1", 2.0, "pretraining"))
        assert parent.learning_rate == best["learning_rate"]
    assert accept_plan(store, plan).ahead == 0
    states, tunings = states_of(store, "study", plan.cells), finetuned_status(store, plan)
    assert Priced(plan, searched=states, finetuned=tunings).ahead_core_hours == 0, "so that nobody is asked to confirm it again"
    assert Priced(plan, searched=states[:3], finetuned=tunings).ahead_core_hours > 0


def test_an_experiment_that_is_cancelled_asks_for_no_fine_tuning(store):
    plan = plan_of(finetune={"from": "frontier"})
    accept_plan(store, plan)
    finish_one(store)
    with store.write() as session:
        steering.ask(session, Steer.CANCEL, experiment="study")
    with store.write() as session:
        assert not Finetunings(Searches()).advance(session)
    assert tuned(store) == []
    accept_plan(store, plan)
    finish_all(store)
    assert tuned(store)
    assert {row["status"] for row in tuned(store)} == {"finished"}


def test_core_hours_and_losses_of_the_two_stages_stay_apart(store):
    accept_plan(store, plan_of())
    finish_all(store)
    with store.read() as session:
        [row] = queries.experiments(session)
        spent = {run.stage: 0.0 for run in session.scalars(select(Run))}
        for run in session.scalars(select(Run)):
            spent[run.stage] += run.core_hours
        least = min(run.val_loss for run in session.scalars(select(Run).where(Run.parent_id.is_(None))))
    assert spent["finetuning"] > 0
    assert row["finetuning"]["core_hours"] == pytest.approx(spent["finetuning"])
    assert row["core_hours"] == pytest.approx(sum(spent.values()))
    assert row["finetuning"]["runs"] == {"finished": 8}
    assert row["best_val_loss"] == least


def pretrained(model, epochs, loss, *, rate=1.6, seed=0, status=RunStatus.FINISHED, flops=None, batch_size=64):
    flops = flops or epochs * {"a": 1.0, "b": 2.0, "c": 4.0}[model]
    return Pretrained(
        f"{model}{epochs}{rate}{seed}", "f", model, epochs, rate, seed, batch_size, None, status, "", loss, flops, 1, 1, 1
    )


def test_of_a_cell_the_runs_at_its_best_rate_are_taken():
    runs = [
        pretrained("a", 1.0, loss, rate=rate, seed=seed)
        for rate, seed, loss in ((1, 0, 0.5), (1, 1, 0.9), (2, 0, 0.6), (2, 1, 0.6))
    ]
    cell = PretrainedCell(("f", "a", 1.0), runs)
    assert {(run.learning_rate, run.seed) for run in cell.best} == {(2, 0), (2, 1)}, "by the mean over the seeds"
    diverged = [*runs[:2], runs[2], pretrained("a", 1.0, None, rate=2, seed=1, status=RunStatus.DIVERGED)]
    assert {run.learning_rate for run in PretrainedCell(("f", "a", 1.0), diverged).best} == {1}, (
        "a rate at which a seed diverged is not safe"
    )


def test_a_family_whose_pre_training_is_not_over_waits_but_with_all():
    done, open_ = pretrained("a", 1.0, 0.5), pretrained("b", 1.0, None, status=RunStatus.RUNNING)
    cells = [PretrainedCell(run.cell, [run]) for run in (done, open_)]
    assert chosen(cells, {"name": "frontier"}) == chosen(cells, {"name": "top", "top": 1}) == []
    assert chosen(cells, {"name": "all"}) == cells[:1]


def test_finished_runs_of_a_failed_family_are_not_in_the_way():
    failed = pretrained("a", 1.0, None, status=RunStatus.FAILED)
    cells = [PretrainedCell(run.cell, [run]) for run in (failed, pretrained("b", 1.0, 0.5), pretrained("c", 1.0, 0.6))]
    assert chosen(cells, {"name": "frontier"}) == cells[1:2]
    assert chosen(cells, {"name": "top", "top": 5}) == cells[1:]


def test_the_store_keeps_how_models_are_fine_tuned(store):
    accept_plan(store, plan_of(finetune={"weights": "final", "layer_decay": 0.5, "model": {"dropout": 0.1}}))
    with store.read() as session:
        rows = finetunings.active(session, "study")
        assert {row.model for row in rows} == {"nano-F0", "nano-F1"}
        config = rows[0].template["config"]
    assert config["parent"] == {"run": "", "weights": "final", "layer_decay": 0.5}
    assert config["model"]["options"] == {"dropout": 0.1}
    assert yaml.safe_load(yaml.safe_dump(rows[0].chosen)) == {"name": "all", "top": None}


@pytest.mark.parametrize("rises", [-0.5, 0.0, 0.5])
def test_the_best_rate_of_fine_tuning_may_rise_or_fall_with_size_and_epochs(rises):
    """A doubling of size moves the best rate by so many steps. In pre-training none above those of smaller cells is tried; here either way is."""
    policy = Policy(0.1, 2.0, (0,))
    cells = [
        SearchedCell("f", f"{params}", params, epochs, policy, {"parents": {}})
        for params in (1000, 2000, 4000, 8000, 16000)
        for epochs in (1.0, 2.0, 4.0)
    ]

    def best(cell):
        return rises * (math.log2(cell.params / 1000) + math.log2(cell.epochs))

    results = {}
    for _ in range(100):
        states = replay(cells, results.get, lambda cell, step, seed, second: {"id": (cell.key, step), "cell": cell})
        asked = [row for state in states for row in state.runs if row["id"] not in results]
        if not asked:
            break
        results |= {row["id"]: Result(1 + 0.05 * (row["id"][1] - best(row["cell"])) ** 2) for row in asked}
    assert all(abs(state.accepted - best(state.cell)) <= 0.5 for state in states)
    assert sum(len(state.trials) for state in states) <= 3 * len(cells)


def priced(store, plan):
    """The plan as `scaling submit` shows it before anything is asked or written."""
    searched, tunings = states_of(store, "study", plan.cells), finetuned_status(store, plan)
    return Priced(plan, states=plan_status(store, plan), searched=searched, finetuned=tunings)


def test_fine_tuning_that_is_taken_away_is_not_searched_for_any_more(store):
    policy = {"policy": "two-trial", "start": 0.4, "factor": 2}
    accept_plan(store, plan_of(finetune={"learning_rate": policy}))
    finish_all(store)
    assert tuned(store)
    accept_plan(store, make_plan(*read_spec({key: value for key, value in STUDY.items() if key != "finetune"})))
    with store.write() as session:
        assert not Finetunings(Searches()).advance(session)
    assert tuned(store) == []


@pytest.mark.parametrize("changes", [{"epochs": 300}, {"learning_rate": 0.3}, {"from": {"top": 9}}])
def test_fine_tuning_that_is_new_or_other_than_before_is_priced_whole(store, changes):
    """Else `confirm_above` would let it pass."""
    plan, alone = plan_of(), make_plan(*read_spec({key: value for key, value in STUDY.items() if key != "finetune"}))
    accept_plan(store, alone)
    finish_all(store)
    assert priced(store, plan).ahead_core_hours == pytest.approx(priced(store, plan).finetuning.core_hours)
    accept_plan(store, plan)
    finish_all(store)
    assert priced(store, plan).ahead_core_hours == 0
    other = priced(store, plan_of(finetune=changes))
    assert other.ahead_core_hours == pytest.approx(other.finetuning.core_hours)


@pytest.mark.parametrize("rate", [0.2, {"policy": "two-trial", "start": 0.4, "factor": 2}])
def test_fine_tuned_runs_that_wait_are_done_as_the_file_says_when_it_is_submitted_again(store, rate):
    """Whoever meets devices that are too small changes the file, and submits it again."""
    accept_plan(store, plan_of(finetune={"learning_rate": rate}))
    while not any(row["status"] == "pending" for row in tuned(store)):
        finish_one(store)
    again = accept_plan(store, plan_of(finetune={"learning_rate": rate, "resources": {"chips": 2}}))
    with store.read() as session:
        waiting = list(session.scalars(select(Run).where(Run.parent_id.is_not(None), Run.status == RunStatus.PENDING)))
        chips = {run.resources.chips for run in waiting}
    assert waiting
    assert {run.id for run in waiting} <= {*again.waiting}, "they are the same runs"
    assert chips == {2}


def test_a_run_that_a_user_excluded_is_neither_chosen_nor_in_the_way(store):
    accept_plan(store, plan_of(finetune={"from": {"top": 1}}, seeds=[0]))
    for _ in range(3):
        finish_one(store)
    best = min(store.runs("study").dropna(subset=["val_loss"]).to_dict("records"), key=lambda row: row["val_loss"])
    with store.write() as session:
        steering.exclude(session, best["id"], "trained on the wrong images")
    last = finish_one(store, AttemptOutcome.RAISED)
    [row] = tuned(store)
    assert row["parent"] not in (best["id"], last)


def test_the_seeds_of_a_cell_are_packed_each_with_a_parent_of_its_own(store):
    trained = {key: value for key, value in STUDY.items() if key != "simulate"} | {"execution": {"pack": 2}}
    accept_plan(store, make_plan(*read_spec(trained)))
    with store.read() as session:
        packs = {(run.model, run.options.alike) for run in session.scalars(select(Run).where(Run.parent_id.is_not(None)))}
    assert len(packs) == 2, "one a model: what they start from is no part of the program"


def test_a_budget_pays_for_pre_training_first(store):
    """What is fine-tuned is known before all is pre-trained, and costs less than the largest runs: these would be left out for it."""
    plan = plan_of(seeds=[0])
    costs = [run.estimated_core_hours for run in plan.runs]
    budget = 1 / 3600 + sum(costs[1:]) + 0.5 * plan.finetuning.runs[0].estimated_core_hours  # a run that ends is charged a second
    accept_plan(store, plan_of(seeds=[0], budget={"core_hours": budget}))
    finish_one(store)
    with store.read() as session:
        found = startable(session, waiting_runs(session), lambda run: run.estimated_core_hours)
        tunings = {*finetunings.wanted(session, 1)}
    assert {run.id for run in found.runs} == {run.id for run in plan.runs[1:]}
    assert {*found.left_out} == tunings


def test_other_fine_tuning_by_a_policy_takes_the_place_of_what_was(store):
    """The searches of the file as it was ask for no run any more."""
    policy = {"policy": "two-trial", "start": 0.4, "factor": 2}
    accept_plan(store, plan_of(finetune={"learning_rate": policy}))
    finish_all(store)
    accept_plan(store, plan_of(models=["nano-F0"], finetune={"learning_rate": policy, "epochs": 2}))
    finish_all(store)
    assert {(row["model"], row["epochs"]) for row in tuned(store)} == {("nano-F0", 2.0)}


@pytest.mark.parametrize("rate", [0.2, {"policy": "two-trial", "start": 0.4, "factor": 2}])
def test_what_was_fine_tuned_stays_in_view_while_a_larger_grid_is_pre_trained(store, rate):
    accept_plan(store, plan_of(finetune={"from": "frontier", "learning_rate": rate}))
    finish_all(store)
    before = {row["id"] for row in tuned(store)}
    accepted = accept_plan(store, plan_of(epochs=[1, 2, 4], finetune={"from": "frontier", "learning_rate": rate}))
    assert {row["id"] for row in tuned(store)} == before <= {*accepted.done}
    accept_plan(store, plan_of(epochs=[1, 2, 4], finetune={"from": "frontier", "learning_rate": rate, "epochs": 2}))
    assert tuned(store) == [], "that was another fine-tuning"


def test_fine_tuning_on_another_accelerator_has_its_price():
    chips = {"accelerator": "TPU-v3", "chips": 4}
    resources, price = {"accelerator": "TPU-v4", "topology": "2x2x1"}, {"TPU-v4": 100.0, "TPU-v3": 1.0}
    priced = Priced(plan_of(resources=resources, price=price, confirm_above={"usd": 1e-9}, finetune={"resources": chips}))
    told = priced.to_dict()
    hours, tuning = told["estimated_core_hours"], told["finetuning"]["estimated_core_hours"]
    assert told["finetuning"]["estimated_cost"] == pytest.approx(tuning / 2), "a chip has two cores"
    assert priced.passes_confirm_above.startswith(f"{50 * hours + tuning / 2:.3g}"[:4])


def test_nothing_is_pre_trained_for_a_data_set_that_is_only_declared(store):
    sizes = {"train_examples": 1000, "validation_examples": 100, "num_classes": 5, "image_shape": [8, 8, 1]}
    trained = {key: value for key, value in STUDY.items() if key != "simulate"}
    finetune = STUDY["finetune"] | {"dataset": {"name": "declared", "title": "to come", **sizes}}
    plan = make_plan(*read_spec(trained | {"finetune": finetune}))
    assert "fine-tuning is declared" in plan.remark
    with pytest.raises(UsageError, match="'to come' is only declared"):
        accept_plan(store, plan)
    assert store.runs().empty


def test_what_is_ahead_counts_fine_tunings_that_nobody_knows_yet(store):
    plan = plan_of(finetune={"from": "frontier"})
    accept_plan(store, plan)
    expected = Priced(plan).finetuning

    def estimates():
        with store.read() as session:
            [row] = queries.experiments(session)
        return row["finetuning"]["core_hours_ahead"], row["estimated_core_hours"]

    ahead, estimated = estimates()
    assert ahead == pytest.approx(expected.core_hours)
    assert estimated == pytest.approx(plan.estimated_core_hours + expected.core_hours)
    for _ in range(8):
        finish_one(store)
    assert tuned(store), "they are known now, and counted as runs"
    ahead, estimated = estimates()
    assert ahead == 0
    with store.read() as session:
        known = sum(session.scalars(select(Run.estimated_core_hours).where(Run.parent_id.is_not(None))))
    assert estimated == pytest.approx(plan.estimated_core_hours + known)


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_nothing_is_ahead_where_nothing_will_be_fine_tuned(store, how):
    accept_plan(store, plan_of(finetune={"from": "frontier"}))
    if how == "cancelled":
        with store.write() as session:
            steering.ask(session, Steer.CANCEL, experiment="study")
    else:
        while finish_one(store, AttemptOutcome.RAISED):
            pass
    with store.read() as session:
        [row] = queries.experiments(session)
    assert row["finetuning"]["core_hours_ahead"] == 0


def test_a_run_may_be_stopped_early_though_it_would_be_fine_tuned(store):
    """Runs that share steps wait for a parent in training; a fine-tuning of one that cannot reach the frontier is not wanted."""
    accept_plan(store, plan_of())
    with store.read() as session:
        parents = list(session.scalars(select(Run.id).where(Run.parent_id.is_(None))))
        assert spared(session, parents) == set()
