"""How `scaling submit` ends, and what commands and pages say while runs are still to come."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

import analysis
from analysis.headline import headline
from analysis.unfinished import unfinished
from api import create_app
from orchestrator.main_job import ending
from orchestrator.store import Store
from scaling.cli.app import app
from scaling.cli.closing import close
from scaling.errors import TooFewPoints
from tests.api import small_grid

ADVICE = re.compile(r"add (epochs|models|rows|sizes|seeds|budgets)")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("closing") / "filled.db"
    small_grid.fill(path)
    return path


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A store of which 2 of 30 runs have finished."""
    path = tmp_path_factory.mktemp("closing") / "begun.db"
    small_grid.begin(path)
    return path


@pytest.fixture(scope="module")
def at_work(tmp_path_factory):
    """The same with a scheduler at work."""
    path = tmp_path_factory.mktemp("closing") / "at_work.db"
    small_grid.begin(path)
    small_grid.lead(path)
    return path


@pytest.fixture(scope="module")
def begun_site(begun):
    with TestClient(create_app(str(begun))) as client:
        yield client


def told(*words, code=0):
    result = CliRunner().invoke(app, words)
    if not isinstance(result.exception, SystemExit | None):
        return f"{result.exception}; {result.exception.hint}"
    assert result.exit_code == code
    return result.stdout


def closed(path, capsys, **how):
    with Store.open(str(path)) as store:
        ended = ending(store, "digits", "done", db=str(path))
    close(ended, as_json=how.get("as_json", False))
    return ended.exit_code, *capsys.readouterr()


def test_about_twelve_lines(filled, capsys):
    code, out, err = closed(filled, capsys)
    assert code == 1  # a run failed
    lines, _, following = out.splitlines(), *err.partition("next\n")[1:]
    assert 12 <= len(lines) + len(following.splitlines()) + 1 <= 16
    assert re.fullmatch(
        r"43 runs: 1 pending, 1 running, 39 finished, 1 diverged, 1 failed · \S+ core-hours of training, \S+ with .*", lines[0]
    )
    with Store.open_readonly(str(filled)) as store:
        said, cost = analysis.answer(store.runs("digits")), analysis.regret(store.runs("digits"))
    assert lines[1] == headline(said, cost)
    assert [line.strip() for line in lines[2:4]] == said.light_lines()
    assert "×/÷" in lines[3]
    best = said.frontier.best()
    assert f"({min(4, len(best))} of {len(best)})" in lines[4]
    dearest = f"{best.iloc[-1]['model']} at {best.iloc[-1]['epochs']:g} epochs"
    assert lines[-1].split()[1:3] == dearest.split()[::2]
    assert re.search(rf"Best so far: {dearest}, .*; choosing it costs at most \S+ % of val_loss against", lines[1])
    assert "ValueError: labels outside 0 … 9" in err.partition("next\n")[0]


def test_what_to_type_next_is_of_this_study_and_runs(filled, capsys):
    *_, err = closed(filled, capsys)
    commands = [line.strip().split("   ")[0] for line in err.partition("next\n")[2].splitlines()]
    assert [shlex.split(command)[1] for command in commands] == ["fit", "predict", "plan", "serve"]
    for command in commands[:-1]:
        assert {"--experiment", "digits", "--db", str(filled)} <= set(shlex.split(command))  # two experiments are in the store
    assert told(*shlex.split(commands[1])[1:])
    assert shlex.split(commands[-1]) == ["scaling", "serve", "--db", str(filled)]


def test_json_holds_the_answer_and_the_runs(filled, capsys):
    _, out, _ = closed(filled, capsys, as_json=True)
    payload = json.loads(out)
    assert len(payload["runs"]) == 43
    with Store.open_readonly(str(filled)) as store:
        assert payload["answer"] == analysis.answer(store.runs("digits")).to_dict()


@pytest.mark.parametrize(
    "command",
    [
        "fit",
        "frontier",
        "frontier --optimum",
        "lr",
        "predict --at 1",
        "plan --budget 1 --target 1",
        "compare --by model --a nano-F0 --b nano-F3",
    ],
)
def test_while_runs_are_to_come_the_advice_is_about_them(at_work, command):
    text = told(*command.split(), "--db", str(at_work))
    assert "2 of 30 runs have finished, 1 is running, 27 are waiting: about " in text
    assert "`scaling status` shows how far they are" in text
    assert not ADVICE.search(text)


def test_without_a_scheduler_no_time_is_left(begun):
    text = told("fit", "--db", str(begun))
    assert "2 of 30 runs have finished, 1 is running, 27 are waiting; no scheduler is at work: `scaling submit` goes on" in text


def test_so_it_is_in_status_and_at_the_end_of_submit(begun, capsys):
    text = told("status", "--db", str(begun))
    assert (
        "digits: 2 of 30 runs have finished, 1 is running, 27 are waiting; `scaling submit experiments.yaml` goes on with them"
        in text
    )
    _, out, err = closed(begun, capsys)
    assert "no law yet: law power has 2 coefficients and needs 3 cells" in out
    assert "2 of 30 runs have finished" in out
    assert not ADVICE.search(out)
    assert "scaling predict" not in err


@pytest.mark.parametrize("page", ["/frontier", "/frontier/optimum", "/learning-rate", "/plan", "/frontier/trust"])
def test_so_it_is_on_the_pages(begun_site, page):
    text = begun_site.get(page, headers={"accept": "text/html"}).text
    assert "2 of 30 runs have finished, 1 is running, 27 are waiting" in text
    assert not ADVICE.search(text)


def test_so_it_is_in_problems(begun_site):
    assert begun_site.get("/api/v1/fits").json()["hint"].startswith("2 of 30 runs have finished")
    assert begun_site.get("/api/v1/frontier").json()["answer"] is None


def test_the_page_shows_the_sentence_of_the_command(filled):
    with TestClient(create_app(str(filled))) as client:
        text = client.get("/frontier?experiment=digits").text
    shown = re.search(r'<p id="answer">(.*?)</p>', text)[1]
    sentence = told("frontier", "--db", str(filled), "--experiment", "digits").splitlines()[0]
    assert re.sub("<.*?>", "", shown) == sentence.replace("^-", "−").replace("^", "")


def test_the_time_left_is_that_of_the_flops_ahead(at_work):
    with Store.open_readonly(str(at_work)) as store:
        runs = store.runs()
    done = runs[runs["status"] == "finished"]
    share = runs["status"].map({"finished": 0.0, "running": 1.0, "pending": 1.0}) - (runs["step"] / runs["steps"]).where(
        runs["status"] == "running", 0.0
    )
    seconds = (share * runs["train_flops"]).sum() * done["core_hours"].sum() / done["train_flops"].sum() * 3600
    besides = 27 * 0.75  # start-up, evaluation and a checkpoint of those that wait
    assert unfinished(runs).seconds == pytest.approx(seconds + besides, rel=0.05)


def test_a_table_from_elsewhere_and_a_finished_store_wait_for_nothing(begun, tmp_path):
    with Store.open_readonly(str(begun)) as store:
        runs = store.runs()
    assert unfinished(runs[runs["status"] == "finished"]) is None
    runs.drop(columns="experiments").to_csv(tmp_path / "runs.csv", index=False)
    table = analysis.read_runs(tmp_path / "runs.csv")
    assert unfinished(table) is None
    with pytest.raises(TooFewPoints) as error:
        analysis.fit(table, law="power")
    assert "--count-status" in error.value.hint  # as before


@pytest.mark.parametrize(
    ("left", "why"), [(True, "runs of pre-training are not over"), (False, "no run of pre-training has finished")]
)
def test_fine_tuning_that_has_not_begun_is_told_at_the_end(begun, capsys, left, why):
    """A budget may leave out runs that the frontier waits for."""
    with Store.open(str(begun)) as store:
        found = ending(store, "digits", "done", db=str(begun))
    assert found.finetuning is None
    rows = found.rows if left else [row | {"status": "diverged"} for row in found.rows]
    close(replace(found, rows=rows, finetuning={"runs": {}}))
    assert f"nothing was fine-tuned, since it is not known which runs that starts from: {'28 ' if left else ''}{why}" in " ".join(
        capsys.readouterr().err.split()
    )
    close(found)
    assert "fine-tuned" not in capsys.readouterr().err
