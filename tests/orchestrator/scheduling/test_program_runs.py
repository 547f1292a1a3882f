"""Runs that a user's own program trains: the contract of `scaling.program`, by a NumPy program in a process of its own, without Ray."""

import os
import shutil
import signal
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from orchestrator.planning.shipped import remarks_on, shipped
from orchestrator.scheduling import retry_policy
from orchestrator.store import queries
from orchestrator.store.grid import NO_FURTHER
from orchestrator.store.models import Allocation, Attempt, Evaluation, Intent, Metric, Run
from orchestrator.store.steering import Steer, ask
from scaling.cli.status import status_command
from scaling.formulas import csv_text
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator import a_program
from tests.orchestrator.program_study import Study, processes_of


@pytest.fixture
def study(tmp_path, monkeypatch):
    study = Study(tmp_path, monkeypatch)
    yield study
    study.store.close()


def test_a_grid_is_trained_and_its_columns_are_those_that_are_known(study):
    assert study.run(study.plan(epochs="[2, 4]", rates="{grid: [0.1, 0.2]}"))
    runs = study.all(Run)
    assert {run.status for run in runs} == {RunStatus.FINISHED}
    assert {(run.epochs, run.step, run.steps, run.examples_seen) for run in runs} == {(2.0, 20, 20, 1280), (4.0, 40, 40, 2560)}
    rows = study.store.runs()
    assert rows["rmse"].tolist() == pytest.approx([loss**0.5 for loss in rows["val_loss"]])
    assert rows["train_flops"].tolist() == [6.0 * 40 * seen for seen in rows["examples_seen"]]
    assert rows["batch_size"].isna().all()
    assert (rows["core_hours"] > 0).all()
    assert {(each.step, each.split) for each in study.all(Evaluation)} == {(20, "validation"), (40, "validation")}
    assert {metric.name for metric in study.all(Metric)} >= {"train_loss"}


def test_interrupted_killed_and_undisturbed_it_comes_to_the_same(study, tmp_path):
    plan = study.plan(epochs="[20]")
    assert study.run(plan)
    [undisturbed] = study.all(Run)
    with study.store.write() as session:
        session.delete(session.scalar(select(Attempt)))
        session.flush()
        run = session.get(Run, undisturbed.id)
        run.status, run.core_hours, run.allocated_core_hours, run.step, run.resume_attempt, run.resume_step = (
            RunStatus.PENDING,
            0.0,
            0.0,
            0,
            None,
            0,
        )
    shutil.rmtree(tmp_path / "runs")
    struck = []

    def strike(running):
        for attempt in running:
            if attempt.grant.number == 1 and attempt.step > 40 and attempt.step % 40 and not struck:
                struck.append("host")
                [program] = processes_of(study.folder)
                os.kill(_host_of(program), signal.SIGKILL)
            elif attempt.grant.number == 2 and attempt.step > 80 and attempt.step % 40 and len(struck) == 1:
                struck.append("program")
                os.kill(processes_of(study.folder)[0], signal.SIGKILL)

    def third_is_at_work():
        return any(attempt.number == 3 and (attempt.last_step or 0) > attempt.first_step for attempt in study.all(Attempt))

    stopped = not study.run(plan, slow="0.04", should_stop=third_is_at_work, on_tick=strike)
    assert stopped, [(a.outcome, a.first_step, a.checkpoint_step, a.last_step, a.reason) for a in study.all(Attempt)]
    assert processes_of(study.folder) == []
    assert study.run(plan, slow="0.001")
    [run] = study.all(Run)
    attempts = study.all(Attempt)
    assert [attempt.outcome for attempt in attempts] == [
        AttemptOutcome.DIED,
        AttemptOutcome.DIED,
        AttemptOutcome.INTERRUPTED,
        AttemptOutcome.FINISHED,
    ]
    seen = [(attempt.first_step, attempt.checkpoint_step, attempt.last_step) for attempt in attempts]
    for before, after in pairwise(attempts):
        assert 0 < after.first_step == before.checkpoint_step, seen
    assert attempts[2].checkpoint_step == attempts[2].last_step, "asked to stop, it saved"
    assert (run.val_loss, run.scores) == (undisturbed.val_loss, undisturbed.scores)
    useful = sum(attempt.useful_seconds for attempt in attempts)
    assert run.core_hours == pytest.approx(useful / 3600)
    assert 0 < sum(attempt.redone_seconds for attempt in attempts) < useful


def _host_of(program):
    """The trainer process above a program: its leash's parent."""
    leash = int(Path(f"/proc/{program}/stat").read_text().split()[3])
    return int(Path(f"/proc/{leash}/stat").read_text().split()[3])


def test_a_leash_that_is_killed_leaves_nothing_and_its_run_goes_on(study):
    struck = []

    def strike(running):
        if not struck and any(attempt.step >= 40 for attempt in running):
            [program] = processes_of(study.folder)
            struck.append(program)
            os.kill(int(Path(f"/proc/{program}/stat").read_text().split()[3]), signal.SIGKILL)

    assert study.run(study.plan(epochs="[12]"), slow="0.02", on_tick=strike)
    first, second = study.all(Attempt)
    assert (first.outcome, second.outcome) == (AttemptOutcome.DIED, AttemptOutcome.FINISHED)
    assert first.reason.startswith("the program was killed by signal 9; its last line: it began")
    assert second.first_step == first.checkpoint_step > 0
    assert processes_of(study.folder) == []


def sessions_of(study):
    """The processes that the program started in sessions of their own."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"SCALING_RUN={study.folder}/runs/".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def test_a_trainer_process_and_a_leash_that_are_killed_in_one_instant_leave_nothing(study):
    """A program whose workers are in sessions of their own, as those of torchrun."""
    struck, beside = [], []

    def strike(running):
        if not struck and any(attempt.step >= 40 for attempt in running):
            [program] = processes_of(study.folder)
            leash = int(Path(f"/proc/{program}/stat").read_text().split()[3])
            struck.extend(sessions_of(study))
            os.kill(leash, signal.SIGSTOP)  # so that it does not see its owner go
            os.kill(_host_of(program), signal.SIGKILL)
            os.kill(leash, signal.SIGKILL)
        elif any(attempt.grant.number == 2 and attempt.step > 50 for attempt in running):
            beside.append(set(struck) & set(sessions_of(study)))

    assert study.run(study.plan(epochs="[16]"), trouble="workers", slow="0.02", on_tick=strike)
    assert [attempt.outcome for attempt in study.all(Attempt)] == [AttemptOutcome.DIED, AttemptOutcome.FINISHED]
    assert len(struck) == 3, "leash, program, worker"
    assert beside, "nobody looked"
    assert not any(beside)
    assert sessions_of(study) == []


def test_a_program_that_cannot_use_its_checkpoint_and_is_killed_has_begun_anew(study):
    """Otherwise the steps up to the checkpoint would be counted for the attempts before and for those after."""
    assert study.run(study.plan(epochs="[12]"), trouble="damaged", slow="0.01")
    attempts = study.all(Attempt)
    assert [(attempt.outcome, attempt.first_step) for attempt in attempts] == [
        (AttemptOutcome.DIED, 0),
        (AttemptOutcome.DIED, 0),
        (AttemptOutcome.FINISHED, 0),
    ]
    assert [attempt.useful_seconds > 0 for attempt in attempts] == [False, False, True]
    [run] = study.all(Run)
    assert run.core_hours == pytest.approx(attempts[-1].useful_seconds / 3600)


_LAST = {"exit": 10, "not json": 10, "long": 10, "column": 10, "backwards": 19, "no metric": 40}
"""The last step that was reported before the report that was refused, or before the end."""


@pytest.mark.parametrize(
    ("trouble", "status", "outcome", "reason"),
    [
        (
            "exit",
            RunStatus.FAILED,
            AttemptOutcome.DIED,
            "the program left with exit code 3; its last line: the disk of my own is full\n",
        ),
        ("nothing", RunStatus.FAILED, AttemptOutcome.RAISED, "the program ended without its result"),
        ("nan", RunStatus.DIVERGED, AttemptOutcome.DIVERGED, "a loss that is not finite, at step 20"),
        ("hang", RunStatus.FAILED, AttemptOutcome.DIED, "hung: the program reported nothing for 1 s; killed"),
        ("backwards", RunStatus.FAILED, AttemptOutcome.RAISED, "the step went back from 19 to 0"),
        ("column", RunStatus.FAILED, AttemptOutcome.RAISED, "'params' is a column of every run"),
        ("no metric", RunStatus.FAILED, AttemptOutcome.RAISED, "the program finished without val_loss"),
        ("not json", RunStatus.FAILED, AttemptOutcome.RAISED, "'loss is 2.3' is no JSON object"),
        ("long", RunStatus.FAILED, AttemptOutcome.RAISED, "a line of more than 1,048,576 bytes is no report"),
    ],
)
def test_what_goes_wrong_is_one_line_of_its_run(study, caplog, trouble, status, outcome, reason):
    assert study.run(study.plan(epochs="[4]", silence=1.0), trouble=trouble)
    [run] = study.all(Run)
    attempts = study.all(Attempt)
    assert (run.status, {attempt.outcome for attempt in attempts}) == (status, {outcome})
    assert len(attempts) == (3 if outcome is AttemptOutcome.DIED else 1)
    assert reason in run.reason
    if trouble in _LAST:
        assert {attempt.last_step for attempt in attempts} == {_LAST[trouble]}, "what was reported before it counts"
        assert run.step == _LAST[trouble]
    if trouble == "exit":
        assert run.reason.endswith("line 1\nthe disk of my own is full")
        assert caplog.text.count("the disk of my own is full") == 3, "once an attempt"
        [_, row] = csv_text([{"id": run.id, "reason": run.reason}], ["id", "reason"]).splitlines()
        assert row.endswith("line 1 | the disk of my own is full")
    assert processes_of(study.folder) == []


def test_a_program_that_hangs_before_its_first_step_is_killed_after_the_seconds_that_the_file_states(study):
    assert study.run(study.plan(epochs="[2]", startup=1.5), trouble="never begins")
    [run] = study.all(Run)
    assert run.status is RunStatus.FAILED
    assert "hung: the program reported nothing for 2 s, before its first step; killed" in run.reason
    assert {attempt.outcome for attempt in study.all(Attempt)} == {AttemptOutcome.DIED}
    assert processes_of(study.folder) == []


@pytest.mark.parametrize("trouble", ["finished twice", "nan after the end", "long after the end"])
def test_the_first_result_counts_whatever_is_reported_after_it(study, trouble):
    assert study.run(study.plan(epochs="[2]"), trouble=trouble)
    [run] = study.all(Run)
    assert (run.status, run.val_loss < 1, run.scores) == (RunStatus.FINISHED, True, {"rmse": run.val_loss**0.5})
    log = (study.folder / "runs" / study.all(Attempt)[0].directory / "log.txt").read_text()
    assert "does not count, and nothing after it: the program had reported its result before\n" in log


def test_exit_code_75_costs_a_run_nothing(study):
    assert study.run(study.plan(epochs="[12]"), trouble="again")
    [run] = study.all(Run)
    assert (run.status, run.failures) == (RunStatus.FINISHED, 0)
    first, second = study.all(Attempt)
    assert (first.outcome, second.first_step) == (AttemptOutcome.INTERRUPTED, first.checkpoint_step)
    assert "exit code 75" in first.reason


def test_exit_code_75_without_getting_further_waits_longer_each_time_and_status_says_so(study, monkeypatch, capsys):
    monkeypatch.setattr(retry_policy, "_REST_SECONDS", (0.5, 300.0))
    said = set()

    def look(running):
        if not running:
            status_command(db=str(study.folder / "scaling.db"))
            said.update(line for line in capsys.readouterr().out.splitlines() if NO_FURTHER in line)

    assert study.run(study.plan(epochs="[2]"), trouble="again and again", on_tick=look)
    [run] = study.all(Run)
    attempts = study.all(Attempt)
    assert (run.status, run.failures, run.reason, len(attempts)) == (RunStatus.FINISHED, 0, "", 5)
    rests = [(after.started_at - before.ended_at).total_seconds() for before, after in pairwise(attempts)]
    assert [rest > pause for rest, pause in zip(rests, (0.5, 1.0, 2.0, 4.0), strict=True)] == [True] * 4, rests
    whose = f"pending: {run.id} w8, 2 epochs, lr 0.1: got no further in "
    why = "so the next one begins after a pause of {} s: the program asked to be started again (exit code 75)"
    assert said == {f"{whose}{times} attempts in a row, {why.format(pause)}" for times, pause in ((3, 2), (4, 4))}


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_a_run_that_rests_keeps_nobody_waiting(study, monkeypatch, how):
    monkeypatch.setattr(retry_policy, "_REST_SECONDS", (600.0, 600.0))

    def rests():
        return bool(study.all(Attempt, Attempt.outcome == AttemptOutcome.INTERRUPTED))

    def cancel(running):
        if rests() and not study.all(Intent):
            with study.store.write() as session:
                ask(session, Steer.CANCEL, runs=[run.id for run in study.all(Run)])

    plan = study.plan(epochs="[2]")
    if how == "cancelled":
        assert study.run(plan, trouble="again and again", on_tick=cancel)
    else:
        assert not study.run(plan, trouble="again and again", should_stop=rests)
    [run] = study.all(Run)
    assert run.status is (RunStatus.CANCELLED if how == "cancelled" else RunStatus.PAUSED)
    assert len(study.all(Attempt)) == 1


def test_an_edited_program_does_not_train_what_was_planned(study):
    plan = study.plan(epochs="[2]")
    (study.folder / "train.py").write_text("raise SystemExit('another program')")
    assert study.plan(epochs="[2]").runs[0].id != plan.runs[0].id
    shutil.copy(a_program.__file__, study.folder / "train.py")
    plan = shipped(study.shipment(plan), plan, study.folder / "runs")
    (study.folder / "train.py").write_text("raise SystemExit('another program')")
    assert study.run(plan)
    [run] = study.all(Run)
    assert run.status is RunStatus.FINISHED, "by the copy of what was planned"
    assert "are not as they were planned" in study.log()


READER = """\
import json, os, subprocess, sys
from scaling.program import report
with open("conf/study.yaml") as file:
    settings = json.load(file)  # which is YAML, too
with open(settings["words"]) as file:
    words = file.read().split()
answer = subprocess.run(["./tools/ask.sh"], capture_output=True, text=True, check=True).stdout
report(step=0), report(step=1)
print("in", os.getcwd(), os.path.exists("data"), os.path.exists("big.bin"))
report(finished=True, val_loss=settings["loss"] + len(words) + float(answer))
"""


def test_a_node_without_the_folder_starts_all_that_the_program_reads(study):
    """The folder is renamed after it was submitted, as if the attempt began on a node that has it not."""
    folder = study.folder
    for name, content in {
        "train.py": READER,
        "conf/study.yaml": '{"loss": 0.5, "words": "words.txt"}',
        "words.txt": "one two three",
        "tools/ask.sh": "#!/bin/sh\necho 4\n",
        ".gitignore": "/data/\n*.bin\n",
        "data/train.bin": "x" * 1000,
        "big.bin": "x" * 1000,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    (folder / "tools" / "ask.sh").chmod(0o755)
    plan = study.plan(epochs="[1]")
    study.accept(plan)
    away = folder.with_name("away")
    study.patch.setattr(study, "accept", lambda plan: None)
    for name in ("train.py", "conf", "words.txt", "tools", "data", "big.bin"):
        away.mkdir(exist_ok=True)
        (folder / name).rename(away / name)
    assert study.run(plan)
    [run] = study.all(Run)
    assert (run.status, run.val_loss) == (RunStatus.FINISHED, 0.5 + 3 + 4), run.reason
    said, in_it = study.log().splitlines()
    copy = folder / "runs" / "programs" / run.options.execution["copy"]
    assert (
        said
        == f"this attempt starts in {copy}, a copy of the folder as it was submitted: the program's files in {folder} are not as they were planned"
    )
    assert in_it == f"in {copy} False False"


def test_a_setting_that_no_id_holds_is_told_when_it_is_edited_and_copies_do_not_change(study):
    (study.folder / "conf.json").write_text("1")
    plan = study.plan(epochs="[4]")
    assert not study.run(plan, slow="0.01", should_stop=lambda: any(attempt.checkpoint_step for attempt in study.all(Attempt)))
    [begun] = study.all(Run)
    (study.folder / "conf.json").write_text("2")
    both = study.plan(epochs="[4, 8]")
    assert both.runs[0].id == begun.id
    [remark] = remarks_on(study.shipment(both), both, study.store, study.folder / "runs")
    assert remark.startswith("edited since runs of this study began, and no part of their ids: conf.json. ")
    study.accept(both)
    first, second = (run.options.execution["copy"] for run in sorted(study.all(Run), key=lambda run: run.epochs))
    assert first == begun.options.execution["copy"] != second, "a run that has begun keeps its copy"
    kept = [(study.folder / "runs" / "programs" / copy / "conf.json").read_text() for copy in (first, second)]
    assert kept == ["1", "2"]
    (study.folder / "conf.json").write_text("1")
    assert remarks_on(study.shipment(both), both, study.store, study.folder / "runs") == ()


def test_the_early_steps_are_no_part_of_core_hours_but_what_the_program_says_apart(study):
    """All seconds of an attempt are accounted for: training from the first step to the last, the rest is startup."""
    assert study.run(study.plan(epochs="[8]"), slow="0.01")
    [attempt] = study.all(Attempt)
    assert 0.7 < attempt.useful_seconds < 8.0
    assert attempt.startup_seconds > 0.1


def test_a_program_that_reported_its_result_and_stays_has_finished(study):
    assert study.run(study.plan(epochs="[2]", silence=1.0), trouble="stays")
    [run] = study.all(Run)
    assert run.status is RunStatus.FINISHED
    assert processes_of(study.folder) == []


def test_a_run_that_cannot_matter_is_stopped_early(study):
    """A program reports losses when it likes: the first after each share of its steps counts as its loss there."""
    from orchestrator.scheduling.early_stop import _loss_at

    taken = [(10, 3.0), (45, 2.0), (52, 1.9), (80, 1.5), (100, 1.0)]
    assert _loss_at(taken, 100, 0.5, 0.75) == 1.9
    assert _loss_at(taken, 100, 0.75, 1.0) == 1.5
    assert _loss_at(taken, 100, 0.85, 1.0) is None
    assert _loss_at(taken, 100, 0.45, 0.5) == 2.0
    assert _loss_at([(20, 3.0)], 0, 0.5, 1.0) is None, "nobody said how many steps it has"


@pytest.mark.parametrize(
    ("driver", "accelerator"), [("NVIDIA GeForce RTX 5080", "NVIDIA GeForce RTX 5080"), ("NVIDIA B200", "B200"), (None, "gpu")]
)
def test_on_any_gpu_its_run_is_named_by_what_the_driver_says(study, monkeypatch, driver, accelerator):
    """A stand-in for nvidia-smi says it; the chips are those of a cluster of threads."""
    monkeypatch.setenv("PATH", f"{study.folder}:{os.environ['PATH']}")
    script = study.folder / "nvidia-smi"
    script.write_text(f"#!/bin/sh\necho '{driver}'\n" if driver else "#!/bin/sh\nexit 9\n")
    script.chmod(0o755)
    study.plan()
    path = study.folder / "study.yaml"
    path.write_text(path.read_text() + "resources: {accelerator: gpu, chips: 1}\n")
    study.run(make_plan(*read_spec(path)))
    ((run,), (attempt,)) = study.all(Run), study.all(Attempt)
    assert run.status is RunStatus.FINISHED
    assert (run.accelerator, attempt.accelerator, attempt.device, run.cores) == (accelerator, accelerator, driver or "gpu", 1)
    assert run.core_hours > 0


def test_any_gpu_that_turns_out_to_be_a_declared_card_has_its_name_cores_and_price(study, monkeypatch):
    """A stand-in for nvidia-smi says the driver's name; by the file it is a card of two cores a chip, at 3 a chip-hour."""
    monkeypatch.setenv("PATH", f"{study.folder}:{os.environ['PATH']}")
    script = study.folder / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'NVIDIA GeForce RTX 5080'\n")
    script.chmod(0o755)
    study.plan()
    path = study.folder / "study.yaml"
    card = '{name: RTX-5080, peak_flops: 2e14, cores_per_chip: 2, price: 3, device_names: ["NVIDIA GeForce RTX 5080"]}'
    path.write_text(path.read_text() + f"resources: {{accelerator: gpu, chips: 1}}\naccelerators: [{card}]\n")
    study.run(make_plan(*read_spec(path)))
    ((run,), (attempt,), (allocation,)) = study.all(Run), study.all(Attempt), study.all(Allocation)
    assert [(row.accelerator, row.cores) for row in (run, attempt, allocation)] == [("RTX-5080", 2)] * 3
    assert run.core_hours == pytest.approx(2 * attempt.useful_seconds / 3600)
    with study.store.read() as session:
        (row,) = queries.runs(session)
    assert row["cost"] == pytest.approx(3 * attempt.useful_seconds / 3600), "a chip-hour is two core-hours"


def test_a_program_on_a_declared_card_is_charged_its_cores(study):
    study.plan()
    path = study.folder / "study.yaml"
    card = "{name: NPU-9, peak_flops: 2e14, cores_per_chip: 2}"
    path.write_text(path.read_text() + f"resources: {{accelerator: NPU-9, chips: 1}}\naccelerators: [{card}]\n")
    study.run(make_plan(*read_spec(path)))
    ((run,), (attempt,)) = study.all(Run), study.all(Attempt)
    assert (run.status, run.accelerator, run.cores, attempt.cores) == (RunStatus.FINISHED, "NPU-9", 2, 2)
    assert run.core_hours == pytest.approx(2 * attempt.useful_seconds / 3600)
