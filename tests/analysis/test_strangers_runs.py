"""Which runs of strangers' tables count: how they ended, whether they were trained at all, whether they are better than guessing."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import analysis
from orchestrator.resources import Resources
from scaling.errors import TooFewPoints, UnknownName, UsageError
from tests.analysis.tables import HOURS, LOSSES, exponent, fitted, reasons, run, write

# How runs ended


def all_failed(tmp_path, states):
    rows = [f"a{place},{state},{3600 * hours!r},{loss!r}\n" for place, (state, hours, loss) in enumerate(states)]
    return write(tmp_path, "Name,State,Runtime,loss\n" + "".join(rows))


def test_an_export_in_which_nothing_finished_says_how_to_count_it(tmp_path):
    states = [
        ("crashed" if place % 2 else "killed", *pair)
        for place, pair in enumerate(zip(HOURS.tolist(), LOSSES.tolist(), strict=True))
    ]
    path = all_failed(tmp_path, states)
    table = [path, "--map", "core_hours=Runtime", "--unit", "core_hours=seconds", "--map", "val_loss=loss"]
    with pytest.raises(TooFewPoints, match="5 stopped, 5 failed") as caught:
        fitted(*table)
    hint = caught.value.hint
    assert "read_runs(…, count_status=['failed', 'stopped'])" in hint
    words = hint.partition("count them: ")[2].partition(";")[0].split()
    fit, notes = fitted(*table, *words)  # what the hint says is what one types
    assert exponent(fit) == pytest.approx(0.2)
    assert fit["runs_used"] == 10
    assert "5 runs whose status is failed count as finished (--count-status failed)" in notes
    fit, _ = fitted(*table, "--count-status", "crashed", "--count-status", "killed")  # the words of the file
    assert fit["runs_used"] == 10
    runs = analysis.read_runs(path, {"core_hours": "Runtime", "val_loss": "loss"}, count_status=["crashed"])
    assert list(runs["status"]) == ["stopped", "finished"] * 5
    with pytest.raises(UnknownName, match="unknown status 'faild'; did you mean \"failed\"") as caught:
        fitted(*table, "--count-status", "faild")
    assert "crashed" in caught.value.hint


def test_too_few_finished_runs_say_how_to_count_the_others(tmp_path):
    states = [
        ("finished" if place < 2 else "failed", *pair)
        for place, pair in enumerate(zip(HOURS.tolist(), LOSSES.tolist(), strict=True))
    ]
    table = [all_failed(tmp_path, states), "--map", "core_hours=Runtime", "--map", "val_loss=loss"]
    with pytest.raises(TooFewPoints, match="8 left out: 8 failed") as caught:
        fitted(*table)
    assert "--count-status failed" in caught.value.hint


@pytest.mark.parametrize(
    "answer", [analysis.frontier, analysis.fit, analysis.learning_rate_trend, lambda runs: analysis.compare(runs, by="model")]
)
def test_every_answer_says_how_to_count_what_did_not_finish(tmp_path, answer):
    table = pd.DataFrame({"model": ["a", "b"] * 5, "epochs": 1.0, "learning_rate": HOURS, "core_hours": HOURS, "val_loss": LOSSES})
    table.assign(status="crashed").to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(TooFewPoints) as caught:
        answer(analysis.read_runs(tmp_path / "runs.csv"))
    assert "--count-status failed" in caught.value.hint
    with pytest.raises(TooFewPoints) as caught:  # a table made by hand has no file to read again
        answer(table.assign(status="failed"))
    assert "--count-status" not in caught.value.hint


def test_counting_is_of_a_file(tmp_path):
    with pytest.raises(UsageError, match="--count-status is for a table given by --data"):
        run("fit", "--count-status", "failed")
    path = write(tmp_path, "core_hours,val_loss\n1,2\n")
    with pytest.raises(UsageError, match="no column status"):
        analysis.read_runs(path, count_status=["failed"])


def test_statuses_under_other_names(tmp_path):
    """MLflow's page and Slurm; a column of that name with words that are no status is left alone."""
    page = "Start Time,Run ID,Status,val_loss\n2026,12e5,FINISHED,1\n2026,13e5,FAILED,2\n"
    runs = analysis.read_runs(write(tmp_path, page))
    assert list(runs["status"]) == ["finished", "failed"]
    assert list(runs["id"]) == ["12e5", "13e5"]  # hexadecimal digits, no number
    slurm = "JobID,State,ElapsedRaw\n1,COMPLETED,10\n2,TIMEOUT,10\n3,CANCELLED by 1000,5\n"
    assert list(analysis.read_runs(write(tmp_path, slurm))["status"]) == ["finished", "failed", "cancelled"]
    assert "status" not in analysis.read_runs(write(tmp_path, "state,val_loss\nOhio,1\nIowa,2\n"))


@pytest.mark.parametrize("pair", [("step", "steps"), ("step", "max_steps"), ("train/global_step", "max_steps")])
def test_finished_short_of_its_steps(tmp_path, pair):
    done = [1000, 999, 480, 1000, 1000, 995, 1000, 1000, 1000, 1000]
    table = pd.DataFrame({"core_hours": HOURS, "val_loss": LOSSES, "status": "finished", pair[0]: done, pair[1]: 1000})
    table.loc[2, "val_loss"] = 3.0
    table.to_csv(tmp_path / "runs.csv", index=False)
    fit, notes = fitted(tmp_path / "runs.csv")
    assert reasons(fit) == {"row 3": "finished at step 480 of 1000"}
    assert exponent(fit) == pytest.approx(0.2)
    assert notes == []


def test_steps_that_no_run_reached_count_something_else(tmp_path):
    table = pd.DataFrame({"core_hours": HOURS, "val_loss": LOSSES, "step": range(100, 110), "steps": 1000})
    table.to_csv(tmp_path / "runs.csv", index=False)
    fit, notes = fitted(tmp_path / "runs.csv")
    assert fit["runs_used"] == 10
    assert notes == ["no run reached its steps, so step counts something else or no run was trained to its end: all are kept"]


# Rehearsals


@pytest.mark.parametrize("mark", [{"rehearsal": True}, {"family": "simulated"}], ids=["ours", "of 0.1.0"])
def test_rehearsed_runs_are_left_out_beside_real_ones(tmp_path, mark):
    real = pd.DataFrame({"family": "nfnet", "core_hours": HOURS, "val_loss": LOSSES})
    both = pd.concat([real, real.assign(**mark, val_loss=9.0, core_hours=HOURS * 1.1)], ignore_index=True)
    both.to_csv(tmp_path / "runs.csv", index=False)
    fit, _ = fitted(tmp_path / "runs.csv")
    assert exponent(fit) == pytest.approx(0.2)
    assert set(reasons(fit).values()) == {"simulated: its loss was stated, not trained"}
    assert len(reasons(fit)) == 10
    both[10:].to_csv(tmp_path / "runs.csv", index=False)
    fit, _ = fitted(tmp_path / "runs.csv")
    assert "rehearsed" in {found["code"] for found in fit["diagnostics"]}


# Chance


def test_runs_no_better_than_guessing_are_named(tmp_path):
    table = pd.DataFrame({"id": list("abcdefghij"), "core_hours": HOURS, "val_loss": LOSSES})
    table.to_csv(tmp_path / "runs.csv", index=False)
    table.assign(chance_loss=1.3).to_csv(tmp_path / "chance.csv", index=False)
    for words in ([tmp_path / "runs.csv", "--chance-loss", "1.3"], [tmp_path / "chance.csv"]):
        fit, _ = fitted(*words)
        (found,) = [entry for entry in fit["diagnostics"] if entry["code"] == "chance-level"]
        assert found["message"] == "2 of 10 runs are no better than chance_loss (1.300) in val_loss: a, b"
        assert found["about"] == ["a", "b"]
    for words in (["--chance-loss", "1.6"], []):
        fit, _ = fitted(tmp_path / "runs.csv", *words)
        assert "chance-level" not in {entry["code"] for entry in fit["diagnostics"]}
    with pytest.raises(UsageError, match="not positive"):
        fitted(tmp_path / "runs.csv", "--chance-loss", "-1")


def test_real_and_rehearsed_runs_of_one_store(tmp_path):
    """A plain fit after `submit --simulate` in a store with real runs."""
    from orchestrator.store import Store, ledger
    from scaling.outcomes import AttemptOutcome
    from tests.orchestrator.rows import a_run, accepted, granted

    def end(store, grant, loss):
        with store.write() as session:
            charge = ledger.Charge(useful=3600.0)
            ledger.end_attempt(
                session,
                grant.token,
                outcome=AttemptOutcome.FINISHED,
                reason="",
                charge=charge,
                last_step=100,
                result={"val_loss": loss},
            )

    with Store.open(str(tmp_path / "scaling.db")) as store:
        for name, letters in (("trained", "0123456789"), ("rehearsed", "abcdef")):
            changes = {} if name == "trained" else {"rehearsal": True, "resources": Resources("TPU-v4", 1, stated=8)}
            flops = [1e9 * 2.0**place for place in range(len(letters))]
            ids = [letter * 16 for letter in letters]
            accepted(
                store,
                *(a_run(each, epochs=2.0**place, train_flops=flops[place], **changes) for place, each in enumerate(ids)),
                name=name,
            )
            for place, each in enumerate(ids):
                end(store, granted(store, each), (flops[place] / 1e9) ** -0.2 if name == "trained" else 7.0)
    words = ["fit", "--db", tmp_path / "scaling.db", "--x", "train_flops", "--law", "power", "--on", "all", "--json"]
    (fit,) = json.loads(run(*words))["fits"]
    assert exponent(fit) == pytest.approx(0.2)
    assert {entry["id"]: entry["reason"] for entry in fit["excluded"]} == {
        letter * 16: "simulated: its loss was stated, not trained" for letter in "abcdef"
    }


def test_checkpoints_of_a_complete_run_are_not_short_of_its_steps():
    """The last row of each run counts, and that of one run is short of its end; along a curve no row is short."""
    from analysis.selection import usable_runs

    rows = [
        {"run": run, "step": step, "steps": 100, "core_hours": step * hours, "val_loss": (step * hours) ** -0.2}
        for run, hours in (("a", 1.0), ("b", 3.0), ("c", 10.0))
        for step in ((10, 50, 100) if run != "c" else (10, 50))
    ]
    kinds = [entry.kind for entry in usable_runs(pd.DataFrame(rows), metric="val_loss", x="core_hours").excluded]
    assert kinds == ["earlier checkpoints of a run"] * 5 + ["not trained to the last step"]
    assert not usable_runs(pd.DataFrame(rows), metric="val_loss", x="step", curve=True).excluded
