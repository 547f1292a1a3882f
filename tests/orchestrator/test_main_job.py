"""`scaling.submit`: the main job from Python, and that the command and a detached scheduler do the same."""

from __future__ import annotations

import json
import signal
import threading

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

import scaling
from orchestrator.experiments_file import read_spec
from orchestrator.main_job import Ending
from orchestrator.planning.plan import make_plan
from orchestrator.store import Store
from orchestrator.store.models import Experiment, Run
from scaling.cli import detached
from scaling.cli.app import app
from scaling.errors import ClusterError, SpecError, UsageError

STUDY = {
    "name": "study",
    "dataset": {"name": "digits"},
    "models": ["nano-F0", "nano-F1"],
    "epochs": [0.5, 1, 2],
    "batch_size": 64,
    "learning_rate": 1.6,
}
CAREFUL = STUDY | {"confirm_above": {"core_hours": 1e-9}}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def all_finished(store, experiment, **_):
    """Stands for a scheduler: a loss that falls as the training FLOPs to the power of 0.2."""
    with store.write() as session:
        for run in session.scalars(sa.select(Run)):
            run.status, run.step, run.core_hours, run.val_loss = (
                "finished",
                run.steps,
                run.train_flops / 1e15,
                50 * run.train_flops**-0.2,
            )
    return "done"


def one_failed(store, experiment, **_):
    all_finished(store, experiment)
    with store.write() as session:
        run = session.scalars(sa.select(Run).limit(1)).one()
        run.status, run.reason = "failed", "RuntimeError: no"
    return "done"


@pytest.fixture
def scheduled(place, monkeypatch):
    """Lets a function stand for the scheduler, in the command, in Python and on a cluster."""

    def by(see_through):
        monkeypatch.setattr("orchestrator.main_job.see_through", see_through)
        monkeypatch.setattr("orchestrator.scheduling.see_through.see_through", see_through)

    return by


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """A dictionary that was submitted from a thread, by a real scheduler on a real Ray, twice; and what was told on the way."""
    told, done = {"progress": [], "plan": [], "accepted": []}, []
    folder = tmp_path_factory.mktemp("rehearsed")

    def submit():
        calls = {f"on_{name}": calls.append for name, calls in told.items()}
        done.append(scaling.submit(STUDY, simulate=True, db=str(folder / "scaling.db"), home=folder / "runs", **calls))

    for _ in range(2):
        thread = threading.Thread(target=submit)
        thread.start()
        thread.join()
    return done, told


def test_it_works_in_a_thread_and_returns_what_came_of_it(rehearsed):
    (done, _), told = rehearsed
    assert (done.outcome, done.exit_code, done.experiment) == ("done", 0, "study-simulated")
    assert len(done.accepted.new) == 6
    assert (done.failed, done.incomplete) == ([], [])
    assert list(done.runs()["status"]) == ["finished"] * 6
    assert done.answer.to_dict() == scaling.answer(done.runs()).to_dict()
    assert json.loads(json.dumps(done.to_dict(), allow_nan=False))["answer"]["sentence"] == done.answer.sentence
    assert told["plan"][0].ahead_core_hours > 0
    assert told["accepted"][0] is done.accepted
    last = [progress for progress in told["progress"] if progress.seconds > 0][-1]
    assert (last.experiment, last.counts) == ("study-simulated", {"finished": 6})


def test_submitting_again_does_nothing_twice(rehearsed):
    (done, again), told = rehearsed
    assert (again.outcome, again.exit_code) == ("nothing to do", 0)
    assert again.accepted.done == done.accepted.new
    assert told["plan"][1].ahead_core_hours == 0
    assert again.to_dict() == done.to_dict()


def test_a_dictionary_is_the_file_with_the_same_keys(place):
    (place / "e.yaml").write_text(yaml.safe_dump(STUDY))
    of_file, of_dictionary = make_plan(*read_spec("e.yaml")), make_plan(*read_spec(STUDY))
    assert of_file.resolved == of_dictionary.resolved
    assert [run.id for run in of_file.runs] == [run.id for run in of_dictionary.runs]
    assert yaml.safe_load(of_dictionary.document.text) == STUDY
    assert (of_file.document.path, of_dictionary.document.path) == ("e.yaml", "")


def test_numbers_of_numpy_are_numbers():
    numpy = pytest.importorskip("numpy")
    given = STUDY | {
        "learning_rate": {"grid": numpy.array([0.5, 1.0])},
        "seeds": range(numpy.int64(2)),
        "batch_size": numpy.int64(64),
    }
    spec, _ = read_spec(given)
    rates = spec.recipe_of(spec.models[0]).learning_rate
    assert (rates.of_budget(1), list(spec.seeds), spec.batch_size) == ([0.5, 1.0], [0, 1], 64)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"models": ["nano-F00"]}, "experiments: models[0]: unknown model 'nano-F00'; did you mean \"nano-F0\"?"),
        ({"epoch": 3}, "experiments: epoch: unknown key 'epoch'; did you mean \"epochs\"?"),
        ({"learning_rate": {"grid": [0.1, print]}}, "experiments: learning_rate.grid[1]: <built-in function print> is no text"),
        ({"schedule": {"warmup_epochs": "x"}}, "experiments: schedule.warmup_epochs: "),
    ],
)
def test_a_fault_of_a_dictionary_names_the_keys_that_lead_to_it(changed, told):
    with pytest.raises(SpecError) as error:
        scaling.submit(STUDY | changed, dry_run=True)
    assert str(error.value).startswith(told)


def test_a_dry_run_writes_nothing_and_is_the_json_of_the_command(place):
    (place / "e.yaml").write_text(yaml.safe_dump(STUDY))
    planned = scaling.submit(STUDY, dry_run=True)
    assert (planned.outcome, planned.exit_code, planned.rows, planned.accepted) == ("dry run", 0, [], None)
    assert [path.name for path in place.iterdir()] == ["e.yaml"]
    printed = CliRunner().invoke(app, ["submit", "e.yaml", "--dry-run", "--json"], catch_exceptions=False)
    assert json.loads(printed.stdout) == json.loads(json.dumps(planned.to_dict()))


def test_what_costs_more_than_confirm_above_is_asked(scheduled):
    scheduled(all_finished)
    with pytest.raises(UsageError, match=r"estimated at .* core-hours, above confirm_above \(1e-09\)\.$") as refused:
        scaling.submit(CAREFUL)
    assert "yes=True" in refused.value.hint
    asked = []
    declined = scaling.submit(CAREFUL, confirm=lambda question: bool(asked.append(question)))
    assert (declined.outcome, declined.exit_code, declined.accepted) == ("declined", 1, None)
    assert asked[0].endswith("Go on?")
    with Store.open_readonly("scaling.db") as store, store.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Experiment)) == 0
    assert scaling.submit(CAREFUL, confirm=lambda question: True).outcome == "done"
    assert scaling.submit(CAREFUL).outcome == "nothing to do", "nothing is ahead"
    assert scaling.submit(CAREFUL | {"name": "other", "seeds": [1]}, yes=True).outcome == "done"


def cell(status, epochs=1.0, **of_finetuning):
    row = {"id": f"{epochs:g}" * 16, "family": "nfnet", "model": "F0", "epochs": epochs, "status": status, "stage": "pretraining"}
    return row | of_finetuning


def tuned(status, parent):
    return cell(status, 50.0, stage="finetuning", parent=parent * 16)


@pytest.mark.parametrize(
    ("outcome", "rows", "searched", "code"),
    [
        ("done", [cell("finished"), cell("diverged")], [], 0),
        ("done", [cell("stopped")], [], 0),
        ("done", [cell("finished"), cell("failed")], [], 1),
        ("nothing to do", [cell("finished"), cell("diverged", 2.0)], [], 1),
        ("done", [cell("finished"), cell("pending", 2.0)], [], 1),
        ("done", [cell("finished")], [cell("") | {"learning_rate": None}], 1),
        ("done", [cell("finished")], [cell("") | {"learning_rate": 0.1}], 0),
        ("done", [cell("finished"), cell("finished", 2.0), tuned("finished", "1"), tuned("finished", "2")], [], 0),
        ("done", [cell("finished"), cell("finished", 2.0), tuned("finished", "1"), tuned("diverged", "2")], [], 1),
        ("done", [cell("stopped"), tuned("pending", "1")], [], 0),
        ("paused", [cell("failed")], [], 130),
        ("left", [cell("pending")], [], 130),
        ("detached", [], [], 0),
        ("dry run", [], [], 0),
    ],
)
def test_the_exit_code(outcome, rows, searched, code):
    assert Ending(experiment="study", outcome=outcome, rows=rows, searched=searched).exit_code == code


@pytest.mark.parametrize(
    ("see_through", "code"),
    [(all_finished, 0), (one_failed, 1), (lambda store, experiment, **_: "paused", 130)],
    ids=["done", "failed", "paused"],
)
def test_the_command_and_a_detached_scheduler_end_alike(scheduled, place, monkeypatch, capsys, see_through, code):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    scheduled(see_through)
    (place / "e.yaml").write_text(yaml.safe_dump(STUDY))
    command = CliRunner().invoke(app, ["submit", "e.yaml", "--yes"])
    assert command.exit_code == code
    monkeypatch.setenv("SCALING_DB", "scaling.db")
    assert detached.main("study", "scaling-runs", "{}") == code
    said = capsys.readouterr()
    assert said.out == command.stdout
    assert command.stderr.endswith(said.err)
    assert ("val_loss falls as core_hours^-" in said.out) == (code != 130)
    assert scaling.submit("e.yaml", yes=True).exit_code == code


def test_a_notebook_that_uses_ray_itself_is_told_so(place, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with pytest.raises(ClusterError, match="this process has joined a Ray already"):
        scaling.submit(STUDY, simulate=True)
    monkeypatch.setattr("orchestrator.main_job.see_through", all_finished)
    assert scaling.submit(STUDY, simulate=True).exit_code == 0, "it goes on from what was accepted"


def test_options_that_make_no_sense_are_refused_before_anything_is_read():
    with pytest.raises(UsageError, match="unknown order 'longest'"):
        scaling.submit("not there.yaml", policy=scaling.SchedulingPolicy(order="longest"))
    with pytest.raises(UsageError, match="--detach hands the scheduler over to a cluster"):
        scaling.submit("not there.yaml", detach=True)


def all_fine_tuned(store, experiment, **_):
    """The same, and half of it after fine-tuning."""
    all_finished(store, experiment)
    with store.write() as session:
        for run in session.scalars(sa.select(Run).where(Run.parent_id.is_not(None))):
            run.val_loss = run.parent.val_loss / 2
    return "done"


def test_it_ends_with_what_the_fine_tuned_runs_say(scheduled, place):
    scheduled(all_fine_tuned)
    tuned = {"dataset": {"name": "digits"}, "epochs": 1, "learning_rate": 0.1}
    done = scaling.submit(STUDY | {"finetune": tuned})
    assert len(done.rows) == 12
    assert (done.answer.law.metric, done.finetuned.law.metric) == ("val_loss", "finetune_val_loss")
    assert done.to_dict()["finetuned_answer"]["sentence"].startswith("finetune_val_loss")
    assert scaling.submit(STUDY | {"name": "without"}).finetuned is None
    (place / "e.yaml").write_text(yaml.safe_dump(STUDY | {"finetune": tuned}))
    shown = CliRunner().invoke(app, ["submit", "e.yaml"])
    assert shown.exit_code == 0
    assert done.finetuned.sentence in shown.stdout
    assert "scaling fit --metric finetune_val_loss" in shown.stderr
