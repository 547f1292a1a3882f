"""A program that is edited after its runs were planned: refused in one line that names the files, with cures that work."""

import shutil
import sys

import pytest
from sqlalchemy import update

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.dry_run import dry_run
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced
from orchestrator.planning.shipped import shipment_of, shipped
from orchestrator.store import Store
from orchestrator.store.models import Run
from scaling.errors import UsageError
from scaling.outcomes import RunStatus
from tests.orchestrator import a_program

FILE = f"""\
name: mlp
trainer:
  command: [{sys.executable}, train.py, --epochs, "{{epochs}}", --lr, "{{learning_rate}}"]
models: [w4]
epochs: [1, 2]
learning_rate: 0.1
"""
DECLARED = FILE.replace("models:", "  program_version: one\nmodels:")
SEARCHED = DECLARED.replace(": 0.1", ": {policy: two-trial, start: 0.1}")


class Study:
    """A folder with a program, the store and the folder of its runs."""

    def __init__(self, folder):
        self.folder, self.db, self.home = folder, str(folder / "scaling.db"), folder / "runs"
        shutil.copy(a_program.__file__, folder / "train.py")

    def plan(self, text):
        (self.folder / "study.yaml").write_text(text)
        return make_plan(*read_spec(self.folder / "study.yaml"))

    def submit(self, text, *, finished=True, **options):
        plan = self.plan(text)
        with Store.open(self.db) as store:
            plan = shipped(shipment_of(plan, home=self.home, db=self.db, address="local"), plan, self.home)
            accepted = accept_plan(store, plan, home=self.home, **options)
            if finished:
                with store.write() as session:
                    session.execute(update(Run).values(status=RunStatus.FINISHED))
        return accepted

    def refused(self, text, **options):
        """Return how a file is refused: by a dry run as by submit."""
        said = []
        for way in (self.submit, lambda text, **options: dry_run(Priced(self.plan(text)), self.db, self.home, **options)):
            with pytest.raises(UsageError) as raised:
                way(text, **options)
            said.append((str(raised.value), raised.value.hint))
        assert said[0] == said[1]
        return said[0]


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def edit(study):
    with (study.folder / "train.py").open("a") as script:
        script.write("# edited\n")
    (study.folder / "helper.py").write_text("")


@pytest.mark.parametrize(
    ("text", "place", "runs"),
    [
        (FILE, "3: trainer.command", "'mlp'"),
        (DECLARED, "4: trainer.program_version", "version 'one'"),
        (SEARCHED, "4: trainer.program_version", "version 'one'"),
    ],
    ids=["hash", "declared", "searched"],
)
def test_it_is_refused_in_one_line_that_names_the_files(study, text, place, runs):
    study.submit(text)
    edit(study)
    said, hint = study.refused(text)
    file = study.folder / "study.yaml"
    assert said == f"{file}:{place}: the program's files have changed since runs of {runs} were planned: helper.py (new), train.py"
    assert "--revise" in hint
    shutil.rmtree(study.home)
    assert study.refused(text)[0].endswith("were planned: which ones is not known, since there is no copy of what they were")


def test_the_cures_work(study):
    first = study.submit(FILE)
    edit(study)
    assert len(study.submit(FILE.replace("mlp", "another")).new) == 2
    assert study.submit(FILE, revise=True).done == study.submit(FILE.replace("mlp", "another")).done
    (study.folder / "helper.py").unlink()
    shutil.copy(a_program.__file__, study.folder / "train.py")
    assert study.submit(FILE, revise=True).done == first.new, "the files are back"


def test_the_cures_of_a_declared_version_work(study):
    study.submit(DECLARED)
    edit(study)
    study.refused(DECLARED, revise=True)
    two = DECLARED.replace("one", "two")
    said, _ = study.refused(two)
    assert said == "experiment 'mlp' has finished runs with other settings (trainer.program_version: 'one' → 'two')"
    assert len(study.submit(two, revise=True).new) == 2
    assert len(study.submit(two.replace("mlp", "another").replace("two", "three")).new) == 2


def test_before_any_run_has_finished_other_files_are_another_revision(study):
    study.submit(FILE, finished=False)
    edit(study)
    assert len(study.submit(FILE).new) == 2


def test_other_settings_are_told_by_what_differs_alone(study):
    study.submit(FILE)
    said, _ = study.refused(FILE.replace("models:", "  metric: rmse\nmodels:"))
    assert said == "experiment 'mlp' has finished runs with other settings (trainer.metric: 'val_loss' → 'rmse')"
