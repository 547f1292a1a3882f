"""What a run is given and how it is done: as JSON and back, and as version 0.1.0 had stored both as one."""

import contextlib
import json
import sqlite3

import pytest
import sqlalchemy as sa

from orchestrator.cluster import DeviceRequest
from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.resources import EarlyStop, Resources, RunOptions
from orchestrator.scheduling.queue import Workload
from orchestrator.store import Store, ledger
from orchestrator.store.grid import waiting_runs
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Attempt, Run, Search
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.earlier_stores import downgraded
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.search.test_replay import finish_one
from trainer import TrainConfig

RULE = {"confidence": 0.99, "after": 0.5}
OF_0_1_0 = [
    ({"accelerator": "cpu", "chips": 1}, Resources("cpu", 1), RunOptions()),
    (
        {
            "accelerator": "TPU-v4",
            "chips": 8,
            "topology": "2x2x2",
            "execution": {"fsdp": True},
            "evaluate_at": [0.5],
            "early_stop": RULE,
        },
        Resources("TPU-v4", 8, topology="2x2x2"),
        RunOptions(execution={"fsdp": True}, evaluate_at=(0.5,), early_stop=EarlyStop(**RULE)),
    ),
    ({"accelerator": "cpu", "chips": 2, "hosts": 2}, Resources("cpu", 2, hosts=2), RunOptions()),
    ({"accelerator": "cpu", "chips": 1, "pack": 4, "alike": "x"}, Resources("cpu", 1), RunOptions(pack=4, alike="x")),
    (
        {"accelerator": "cpu", "chips": 1, "trunk": "t", "checkpoint_at": [80, 320]},
        Resources("cpu", 1),
        RunOptions(trunk="t", checkpoint_at=(80, 320)),
    ),
    (
        {"accelerator": "simulated TPU-v4", "chips": 4, "speed": 3600.0, "pool": 4096, "step_seconds": 0.5},
        Resources("TPU-v4", 4, stated=4096),
        RunOptions(execution={"speed": 3600.0, "step_seconds": 0.5, "params": 10}),
    ),
    ({"accelerator": "cpu", "chips": 1, "early_stop": None}, Resources("cpu", 1), RunOptions()),
]
"""What version 0.1.0 wrote into the column `resources`, and what it is now."""
MODEL = {"family": "nfnet", "name": "nano-F0", "options": {}}
TRAINED = {"rehearsal": False, "config": {"model": MODEL}}
REHEARSED = {"rehearsal": True, "config": {"model": MODEL | {"surface": {"E": 2.0}}}}


@pytest.mark.parametrize(("resources", "options"), [told[1:] for told in OF_0_1_0])
def test_they_are_plain_json_and_back(resources, options):
    for part in (resources, options):
        there = type(part).from_dict(json.loads(json.dumps(part.to_dict())))
        assert (there, hash(there)) == (part, hash(part))


def test_what_is_none_is_left_out():
    assert Resources("cpu", 4).to_dict() == {"accelerator": "cpu", "chips": 4}
    assert RunOptions().to_dict() == {"execution": {}, "evaluate_at": [], "pack": 1, "checkpoint_at": []}


def test_cores_are_those_of_core_hours():
    assert [Resources(kind, 4).cores for kind in ("cpu", "TPU-v4", "TPU-v5e")] == [4, 8, 4]


def test_a_worker_holds_what_a_run_is_given():
    request = DeviceRequest.of(Resources("TPU-v4", 8, topology="2x2x2"))
    assert (request.name, request.hosts, request.pod_type) == ("8 TPU-v4 chips (2x2x2)", 2, "v4-16")


def run_id(number):
    return f"{number:016x}"


def stored(url):
    """The column `resources` as the database has it, by run."""
    engine, table = sa.create_engine(url), sa.table("runs", sa.column("id"), sa.column("resources", sa.JSON()))
    with engine.begin() as connection:
        found = {run: resources for run, resources in connection.execute(sa.select(table.c.id, table.c.resources))}  # noqa: C416
        for number, (old, *_) in enumerate(OF_0_1_0):
            connection.execute(sa.update(table).where(table.c.id == run_id(number)).values(resources=old))
    engine.dispose()
    return found


def test_a_store_of_0_1_0_opens_and_its_unfinished_runs_go_on(store):
    rows = [
        a_run(run_id(number), resources=resources, options=options, **(REHEARSED if resources.stated else TRAINED))
        for number, (_, resources, options) in enumerate(OF_0_1_0)
    ]
    accepted(store, *rows)
    done, begun = granted(store, run_id(0)), granted(store, run_id(3))
    with store.write() as session:
        ledger.end_attempt(session, done.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(useful=1.0))
        ledger.record(session, begun.token, step=40, checkpoint_step=40)
    url = store.url
    store.close()
    downgraded(url, "0005")
    old = stored(url)
    assert all(
        old[run_id(number)].items() >= {k: v for k, v in flat.items() if v}.items() for number, (flat, *_) in enumerate(OF_0_1_0)
    )

    with Store.open(store.name if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=False)) as upgraded:
        with upgraded.read() as session:
            for number, (_, resources, options) in enumerate(OF_0_1_0):
                run = session.get(Run, run_id(number))
                assert (run.resources, run.options) == (resources, options)
                assert {"rehearsal": run.rehearsal, "config": run.config} == (REHEARSED if resources.stated else TRAINED)
            groups = {Workload.of(run) for run in waiting_runs(session)}
            assert Workload("s", Resources("TPU-v4", 4, stated=4096)) in groups
        with upgraded.write() as session:
            ledger.end_attempt(session, begun.token, outcome=AttemptOutcome.DIED, reason="", charge=Charge(useful=1.0))
        again = granted(upgraded, run_id(3))
        assert (again.resume_step, again.resources, again.options) == (40, Resources("cpu", 1), RunOptions(pack=4, alike="x"))
        accepted(upgraded, *rows)  # the same file again
        with upgraded.read() as session:
            assert session.get(Run, run_id(4)).options == OF_0_1_0[4][2]
            assert session.get(Run, run_id(0)).status is RunStatus.FINISHED


def test_a_search_of_0_1_0_goes_on(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(
        "name: search\ndataset: {name: digits}\nmodels: [nano-F0]\nepochs: [1]\nbatch_size: 64\n"
        "learning_rate: {policy: two-trial, start: 1.6, factor: 2}\nsimulate: {speed: 10, chips: 8}\n"
    )
    plan, url = make_plan(*read_spec(path)), str(tmp_path / "scaling.db")
    with Store.open(url) as store:
        accept_plan(store, plan)
        finish_one(store)
    downgraded(f"sqlite:///{url}", "0005")
    with contextlib.closing(sqlite3.connect(url)) as old:
        assert old.execute("SELECT DISTINCT r.family, a.accelerator FROM runs r JOIN attempts a ON a.run_id = r.id").fetchall() == [
            ("simulated", "simulated cpu")
        ]
        taken_out = "experiment_id, 'nfnet', model, epochs, template, policy, state, trials, reason, added_in, 1 FROM searches"
        old.execute(
            f"INSERT INTO searches (experiment_id, family, model, epochs, template, policy, state, trials, reason, added_in, removed_in) SELECT {taken_out}"
        )
        old.commit()
    with Store.open(url) as store:
        with store.read() as session:
            asked = len(session.scalars(sa.select(Run.id)).all())
            assert session.scalars(sa.select(Search)).one().template["resources"] == {"accelerator": "cpu", "chips": 1, "stated": 8}
            assert set(session.scalars(sa.select(Attempt.accelerator))) == {"cpu"}
        while finish_one(store):
            pass
        with store.read() as session:
            runs = session.scalars(sa.select(Run)).all()
    assert len(runs) > asked
    assert {run.resources for run in runs} == {plan.resources}
    assert all(run.options.execution.items() >= plan.options.execution.items() for run in runs)
    assert {(run.family, run.rehearsal) for run in runs} == {("nfnet", True)}
    assert {run.id for run in runs} == {TrainConfig.from_dict(run.config).run_id() for run in runs}
