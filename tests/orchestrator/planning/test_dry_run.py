"""`submit --dry-run` refuses what `submit` would refuse, says which runs exist, looks at the data, and starts and writes nothing."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.dry_run import dry_run as checked
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced
from orchestrator.store import Store
from orchestrator.store.models import Run
from scaling.cli.app import app
from scaling.errors import ClusterError, DataError, StoreError, StoreTooNew, UsageError
from tests.orchestrator.conftest import new_database
from tests.orchestrator.earlier_stores import downgraded
from trainer.data.check import _spread

FILE = """\
name: tiny
dataset: {name: digits, validation_examples: 450}
models: [nano-F0]
epochs: [1, 2]
batch_size: 64
learning_rate: 1.6
seeds: [0, 1]
"""
PHOTOS = """\
name: photos
dataset: {name: imagefolder, path: photos, train_px: 16}
models: [{name: w, family: nfnet, width: [8, 16], depth: [1, 1], group_width: 8, stem: small}]
epochs: [1]
batch_size: 4
learning_rate: 1.6
"""


def dry_run(plan, *given):
    return checked(Priced(plan), *given)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def of(text=FILE):
        Path("grid.yaml").write_text(text)
        return make_plan(*read_spec("grid.yaml"))

    return of


@pytest.fixture
def photos(plan):
    """Twelve JPEGs of two classes, a third of them held out."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for number in range(count):
            path = Path("photos", split, "ab"[number % 2], f"{number}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), rng.integers(0, 255, (20, 24, 3), np.uint8))
    return Path("photos")


def of_cli(*arguments):
    return CliRunner().invoke(app, ["submit", "grid.yaml", "--dry-run", *arguments])


def finished(store, plan):
    accept_plan(store, plan)
    with store.write() as session:
        session.execute(sa.update(Run).values(status="finished"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("batch_size: 64", "batch_size: 32", "batch_size: 64 → 32"),
        ("validation_examples: 450", "validation_examples: 400", "train_examples: 1347 → 1397"),
        ("seeds:", "ema: 0.99\nseeds:", "ema: None → 0.99"),
    ],
)
def test_it_refuses_what_submit_refuses(plan, old, new, told):
    with Store.open("scaling.db") as store:
        finished(store, plan())
        changed = plan(FILE.replace(old, new))
        with pytest.raises(UsageError) as of_submit:
            accept_plan(store, changed)
        with pytest.raises(UsageError) as of_dry_run:
            dry_run(changed, "scaling.db", Path("home"))
    assert str(of_dry_run.value) == str(of_submit.value)
    assert of_dry_run.value.hint == of_submit.value.hint
    assert told in str(of_dry_run.value)
    assert of_cli().exception.exit_code == 2
    assert of_cli("--revise").exit_code == 0


def test_it_says_which_runs_exist(plan):
    with Store.open("scaling.db") as store:
        finished(store, plan(FILE.replace("[1, 2]", "[1]")))
    plan()
    shown = of_cli()
    assert shown.exit_code == 0
    assert "2 of 4 listed runs exist already: 2 finished" in shown.stdout
    answer = json.loads(of_cli("--json").stdout)
    assert list(answer["known_runs"].values()) == ["finished"] * 2
    assert [cell["state"] for cell in answer["cells"]] == ["finished", "new"]
    assert [split["bad"] for split in answer["looked_at"]] == [[], []]


@pytest.mark.parametrize(
    ("macs", "told"),
    [
        ((), "4 runs, core-hours not known yet: "),
        ((1_000_000,), " core-hours without the 2 of 4 cells that have no estimate: "),
        ((1_000_000, 2_000_000), " core-hours in all: "),
    ],
)
def test_it_says_which_cells_have_no_estimate(plan, macs, told):
    """A program's models have one where the file states what an example takes."""
    models = [f"{{name: m{place}, width: {place}{f', macs: {macs[place]}' if place < len(macs) else ''}}}" for place in range(2)]
    program = "trainer: {command: [python, train.py, '{width}', '{epochs}']}\ndataset: {name: mine, train_examples: 1000}\n"
    Path("train.py").touch()
    plan(f"name: mine\n{program}models: [{', '.join(models)}]\nepochs: [1, 2]\nlearning_rate: 0.1\n")
    assert told in of_cli().stdout.replace("\n", " ")


@pytest.mark.parametrize("revision", ["0006", "0005"])
def test_a_store_of_an_earlier_version_is_read_as_submit_would_find_it(plan, tmp_path, monkeypatch, revision):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    Path("temporary").mkdir()
    with Store.open("scaling.db") as store:
        finished(store, plan())
    downgraded("sqlite:///scaling.db", revision)
    before = Path("scaling.db").read_bytes()
    found = dry_run(plan(), "scaling.db", Path("home"))
    assert set(found.states.values()) == {"finished"}
    changed = plan(FILE.replace("batch_size: 64", "batch_size: 32"))
    with pytest.raises(UsageError) as of_dry_run:
        dry_run(changed, "scaling.db", Path("home"))
    assert sorted(os.listdir()) == ["grid.yaml", "scaling.db", "temporary"]
    assert not os.listdir("temporary")
    assert Path("scaling.db").read_bytes() == before
    with Store.open("scaling.db") as store, pytest.raises(UsageError) as of_submit:
        accept_plan(store, changed)
    assert str(of_dry_run.value) == str(of_submit.value)


def test_a_servers_database_of_an_earlier_version_has_to_be_upgraded_first(plan, postgres):
    url = new_database(postgres)
    assert set(dry_run(plan(), url, Path("home")).states.values()) == {"new"}
    Store.open(url).close()
    downgraded(url, "0005")
    with pytest.raises(StoreError, match="has schema 0005 and must be upgraded") as refused:
        dry_run(plan(), url, Path("home"))
    assert "`scaling submit`" in refused.value.hint


def test_more_cores_than_this_machine_has_are_refused_where_no_cluster_is_named(plan):
    many = plan(f"{FILE}resources: {{cores: 4096}}\n")
    with pytest.raises(ClusterError, match=r"a run needs 4096 cpu cores on one node; the largest of the 1 at local has \d+ CPU"):
        dry_run(many, "scaling.db", Path("home"))
    assert of_cli().exception.exit_code == 1
    assert of_cli("--address", "head:6379").exit_code == 0
    assert of_cli("--simulate").exit_code == 0
    with Store.open("scaling.db") as store:
        finished(store, many)
    assert of_cli().exit_code == 0, "there is nothing left to train"


def test_nothing_is_written_and_ray_is_not_loaded(plan, tmp_path):
    plan()
    asked = "import sys; sys.argv = ['scaling', 'submit', 'grid.yaml', '--dry-run']\nfrom scaling.cli import main\n"
    asked += "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\nassert 'ray' not in sys.modules\n"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == ["grid.yaml"]


def test_good_photos_pass(plan, photos):
    found = dry_run(plan(PHOTOS), "scaling.db", Path("home"))
    assert [(split.read, split.examples, split.bad) for split in found.looked] == [(8, 8, ()), (4, 4, ())]
    assert os.listdir() == ["photos", "grid.yaml"] or os.listdir() == ["grid.yaml", "photos"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-60])


BAD = {
    "empty": (lambda path: path.write_bytes(b""), "empty file"),
    "cut short": (cut_short, "damaged JPEG"),
    "no image": (lambda path: path.write_text("not found"), "not an image"),
}


@pytest.mark.parametrize(("spoil", "told"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("split", ["train", "val"])
def test_files_that_cannot_be_used_are_named(plan, photos, split, spoil, told):
    spoil(photos / split / "b" / "3.jpg")
    with pytest.raises(DataError) as caught:
        dry_run(plan(PHOTOS), "scaling.db", Path("home"))
    assert "b/3.jpg" in str(caught.value)
    assert told in str(caught.value)
    assert f"1 of the {8 if split == 'train' else 4} {'training' if split == 'train' else 'held-out'} examples" in str(caught.value)
    skipping = f"{PHOTOS}execution: {{on_bad_example: skip}}\n"
    if split == "train":
        assert dry_run(plan(skipping), "scaling.db", Path("home")).looked[0].bad
        assert "1 cannot be used and are skipped: " in of_cli().stdout
    else:
        with pytest.raises(DataError):
            dry_run(plan(skipping), "scaling.db", Path("home"))


def test_every_empty_file_is_found_however_many_there_are(plan, photos):
    image = (photos / "train" / "a" / "0.jpg").read_bytes()
    for number in range(1000):
        (photos / "train" / "a" / f"more{number}.jpg").write_bytes(b"" if number in (577, 901) else image)
    with pytest.raises(DataError, match=r"2 of the 1,008 training examples .*more577.jpg.*more901.jpg"):
        dry_run(plan(PHOTOS), "scaling.db", Path("home"))


@pytest.mark.parametrize(("bad", "good", "refused"), [(12, 28, True), (9, 31, False), (10, 990, False), (11, 989, True)])
def test_it_skips_as_many_as_a_run_would(plan, photos, bad, good, refused):
    """Ten at least, and more than one in a hundred."""
    image = (photos / "train" / "a" / "0.jpg").read_bytes()
    for number in range(bad + good - 8):
        (photos / "train" / "a" / f"more{number}.jpg").write_bytes(b"" if number < bad else image)
    skipping = plan(f"{PHOTOS}execution: {{on_bad_example: skip}}\n")
    if refused:
        with pytest.raises(DataError, match=f"{bad} of the") as caught:
            dry_run(skipping, "scaling.db", Path("home"))
        assert "one in a hundred" in caught.value.hint
    else:
        assert len(dry_run(skipping, "scaling.db", Path("home")).looked[0].bad) == bad


def test_what_is_read_of_a_large_split_is_spread_over_it():
    places = list(_spread(1_000_000))
    assert len(places) == len(set(places)) == 512
    assert np.diff(sorted([0, *places[:32], 1_000_000])).max() < 60_000
    assert list(_spread(5)) == [0, 1, 2, 3, 4]


def test_a_data_set_of_ones_own_that_fails(plan, monkeypatch):
    Path("own_data.py").write_text(
        "import numpy as np\nfrom trainer.data import DataCard, Dataset\n"
        "class Split:\n    def __init__(self, n): self.n = n\n    def __len__(self): return self.n\n"
        "    def __getitem__(self, k):\n"
        "        return {'image': np.zeros((8, 8, 1), np.uint8), 'label': {}[k] if k == 5 else k % 10, 'id': k}\n"
        "def make(options): return Dataset(DataCard('own', 'f' * 16, 10, (8, 8, 1), 64, 3), Split(64), Split(3))\n"
    )
    monkeypatch.syspath_prepend(os.getcwd())
    own = plan(FILE.replace("{name: digits, validation_examples: 450}", "{source: 'own_data:make'}"))
    with pytest.raises(DataError, match="example 5 cannot be read: KeyError: 5"):
        dry_run(own, "scaling.db", Path("home"))


def test_a_store_that_submit_would_not_open_is_refused(plan):
    engine = sa.create_engine("sqlite:///theirs.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bank (money INTEGER)")
    with pytest.raises(StoreError, match="a database of something else"):
        dry_run(plan(), "theirs.db", Path("home"))
    Store.open("newer.db").close()
    with sa.create_engine("sqlite:///newer.db").begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew):
        dry_run(plan(), "newer.db", Path("home"))
    with pytest.raises(StoreError, match="there is no folder"):
        dry_run(plan(), "nowhere/scaling.db", Path("home"))


def test_a_home_that_cannot_be_made_is_refused(plan):
    Path("file").write_text("")
    with pytest.raises(UsageError, match="file is no folder"):
        dry_run(plan(), "scaling.db", Path("file/home"))


def test_it_says_that_submit_would_ask(plan):
    plan(f"{FILE}confirm_above: {{core_hours: 1e-9}}\n")
    assert "`submit` asks first, or wants --yes: " in of_cli().stdout


def test_declared_data_and_rehearsals_are_planned_without_looking(plan):
    declared = (
        "{name: declared, title: web, train_examples: 1000, validation_examples: 10, num_classes: 10, image_shape: [8, 8, 1]}"
    )
    assert dry_run(plan(FILE.replace("{name: digits, validation_examples: 450}", declared)), "scaling.db", Path("h")).looked == ()
    assert dry_run(plan(f"{FILE}simulate: {{}}\n"), "scaling.db", Path("h")).looked == ()
