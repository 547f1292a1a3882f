"""Laws of runs that a program has trained, whose sizes and FLOPs nobody stated: the hints say what is missing, and work."""

import pytest
from typer.testing import CliRunner

import analysis
from orchestrator.store.models import Run
from scaling.cli.app import app
from scaling.errors import TooFewPoints
from tests.orchestrator.program_study import Study


@pytest.fixture
def study(tmp_path, monkeypatch):
    study = Study(tmp_path, monkeypatch)
    yield study
    study.store.close()


def hint_for(study, x):
    with pytest.raises(TooFewPoints) as refused:
        analysis.fit(study.store.runs(), x=x)
    return refused.value.hint


def test_a_missing_axis_is_told_with_a_cure_that_works(study):
    stated = study.plan(epochs="[1, 2, 4]")
    path = study.folder / "study.yaml"
    path.write_text(path.read_text().replace(", params: 40, macs: 40", ""))
    assert study.run(study.planned())
    assert hint_for(study, "params") == "state `params` of each model in `models:` of the file, and submit it again"
    assert hint_for(study, "train_flops") == "state `macs` of each model in `models:` of the file, and submit it again"
    shown = CliRunner().invoke(app, ["frontier", "--db", str(study.folder / "scaling.db")])
    assert (shown.exit_code, "w8" in shown.output) == (0, True), shown.output
    study.accept(stated)
    runs = study.store.runs()
    assert sorted(runs["train_flops"]) == [6.0 * 40 * 640 * epochs for epochs in (1, 2, 4)]
    assert set(runs["params"]) == {40}
    assert analysis.fit(runs, x="train_flops", on="all").runs_used == 3
    with study.store.write() as session:
        for run in session.query(Run):
            run.examples_seen = 0
    assert hint_for(study, "examples_seen") == "let the program report `examples_seen`"
    assert hint_for(study, "train_flops").endswith("submit it again; let the program report `examples_seen`")
