"""`scaling doctor`: what is broken here is found, named and has a cure; what is well is said to be."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orchestrator import doctor
from orchestrator.doctor import Verdict, examine
from orchestrator.store import Store, schema
from orchestrator.store.integrity import faults_in
from scaling.cli.app import app
from scaling.errors import StoreError
from tests.orchestrator.earlier_stores import downgraded
from tests.orchestrator.rows import a_run, accepted


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("SCALING_DB", "SCALING_HOME", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def found(name, db="scaling.db", home="scaling-runs"):
    return [(check.verdict, check.found, check.cure) for check in examine(db, home, devices=False) if check.name == name]


def only(name, **where):
    (one,) = found(name, **where)
    return one


def test_on_a_sound_machine_nothing_is_a_fault(here):
    checks = examine("scaling.db", "scaling-runs", devices=False)
    assert {check.name for check in checks} == {
        "Python",
        "packages",
        "names",
        "variables",
        "Ray",
        "store",
        "home",
        "disk",
        "network",
    }
    assert [check for check in checks if check.verdict is Verdict.FAULT] == []
    assert all(check.cure for check in checks if check.verdict is Verdict.WARNING)
    assert list(here.iterdir()) == []  # nothing is written


def test_every_required_package_is_looked_at(monkeypatch):
    assert doctor._needed_modules() >= {"jax", "ray", "yaml", "lazy_loader", "sqlalchemy", "typer", "trainer", "pyarrow"}
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy>=999.1", "no-such-package>=2", "pandas>=1; extra == 'x'", "scipy"])
    assert [entry for entry in found("packages") if entry[0] is Verdict.FAULT] == [
        (Verdict.FAULT, f"numpy is {metadata.version('numpy')}, scaling needs 999.1 or newer", "pip install -U 'numpy>=999.1'"),
        (Verdict.FAULT, "no-such-package is not installed", "pip install 'no-such-package>=2'"),
    ]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("jax.py", Verdict.FAULT),
        ("trainer/__init__.py", Verdict.FAULT),
        ("random.py", Verdict.WARNING),
        ("jaxen.py", None),
        ("data/jax.py", None),
    ],
)
def test_files_that_hide_a_package_are_named(here, name, verdict):
    (here / name).parent.mkdir(exist_ok=True)
    (here / name).touch()
    (got, said, cure) = only("names")
    assert got == (verdict or Verdict.OK)
    if verdict:
        assert str(here / name.removesuffix("/__init__.py")) in said
        assert cure == "rename it, or work in another folder"


def test_a_variable_that_nobody_reads_is_named(here, monkeypatch):
    for name in [name for name in os.environ if name.startswith("SCALING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SCALING_HOM", "x")
    monkeypatch.setenv("SCALING_DB", "y.db")
    assert found("variables") == [
        (Verdict.WARNING, 'SCALING_HOM is set, and nothing reads it; did you mean "SCALING_HOME"?', "unset SCALING_HOM"),
        (Verdict.OK, "set: SCALING_DB", ""),
    ]


def test_every_variable_of_a_command_is_known():
    read = {
        option.envvar for command in typer.main.get_command(app).commands.values() for option in command.params if option.envvar
    }
    assert read <= set(doctor._VARIABLES)
    assert "SCALING_SERVER" in read


def test_the_store_is_looked_through(here):
    assert only("store")[:2] == (Verdict.OK, f"{here / 'scaling.db'} is not there yet: the first submit or import makes it")
    with Store.open("scaling.db") as store:
        accepted(store, a_run())
    assert only("store")[1] == f"{here / 'scaling.db'}: 1 run, schema {schema.head_revision()}, whole"
    with Store.open("old.db") as store:
        accepted(store, a_run())
    downgraded(store.url, "0010")
    assert only("store", db="old.db") == (
        Verdict.WARNING, f"schema 0010, this version has {schema.head_revision()}", "the first command that writes upgrades it, such as `scaling submit`, after making a copy; until then an upgraded copy is read",
    )  # fmt: skip
    assert sorted(path.name for path in here.iterdir() if "before" in path.name) == []


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: path.write_text("not a database, but long enough to look like one " * 40), "it is no SQLite file"),
        (lambda path: path.write_bytes(path.with_name("scaling.db").read_bytes()[:40_000]), "sqlite3 no.db .recover"),
    ],
)
def test_what_is_no_store_has_its_cure_in_every_command(here, make, cure):
    Store.open("scaling.db").close()
    make(here / "no.db")
    assert cure in only("store", db="no.db")[2]
    with pytest.raises(StoreError) as refused:
        Store.open_readonly("no.db")
    assert cure in refused.value.hint


def test_a_damaged_store_is_said_to_be_one(here):
    with Store.open("scaling.db") as store:
        accepted(store, a_run())
    with sqlite3.connect("scaling.db") as base:
        base.execute("PRAGMA foreign_keys = OFF")
        base.execute("UPDATE experiment_runs SET run_id = 'none'")
    assert faults_in(here / "scaling.db") == ["row 1 of experiment_runs names a row of runs that is not there"]
    assert only("store")[0] is Verdict.FAULT
    size = 4096
    content = bytearray(Path("scaling.db").read_bytes())
    for page in range(1, len(content) // size):
        content[page * size : page * size + 8] = b"\xff" * 8
    Path("torn.db").write_bytes(content)
    verdict, said, cure = only("store", db="torn.db")
    assert verdict is Verdict.FAULT
    assert "torn.db" in said
    assert cure
    Path("text.db").write_text("not a database, but long enough to look like one " * 40)
    assert only("store", db="text.db") == (
        Verdict.FAULT, f"{here / 'text.db'} cannot be read: file is not a database", "it is no SQLite file, or an encrypted one: name another with --db or SCALING_DB",
    )  # fmt: skip


def test_folders_that_cannot_be_used_are_named(here):
    Path("file").touch()
    assert only("home", home="file/runs")[:2] == (Verdict.FAULT, f"{here / 'file'} is no folder")
    assert only("home", home="s3://bucket/runs")[0] is Verdict.FAULT
    assert only("store", db="none/scaling.db")[:2] == (Verdict.FAULT, f"there is no folder {here / 'none'} for scaling.db")
    assert only("store", db="nosuch://x")[0] is Verdict.FAULT
    Path("runs").mkdir()
    assert only("home", home="runs")[1] == "runs can be written"


def test_a_full_disk_is_a_fault(here, monkeypatch):
    monkeypatch.setattr(doctor, "_LEAST_BYTES", 2**60)
    verdict, said, cure = only("disk")
    assert verdict is Verdict.FAULT
    assert "free for runs" in said
    assert "scaling gc" in cure


def test_ports_and_clusters_that_do_not_answer_are_named(here, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"ray://127.0.0.1:{port}")
    verdict, said, cure = found("Ray")[0]
    assert verdict is Verdict.FAULT
    assert f"nobody answers at RAY_ADDRESS ray://127.0.0.1:{port}" in said
    assert cure == "ray start --head there, or unset RAY_ADDRESS"
    monkeypatch.setenv("RAY_ADDRESS", "my-cluster")
    assert found("Ray")[0][:2] == (Verdict.FAULT, f"{metadata.version('ray')}; RAY_ADDRESS my-cluster is no address")


def test_a_check_that_breaks_leaves_the_others(here, monkeypatch):
    def broken(_):
        raise RuntimeError("boom")

    monkeypatch.setattr(doctor, "_home", broken)
    assert only("home")[:2] == (Verdict.FAULT, "could not be checked: RuntimeError: boom")
    assert found("network")


def test_jax_that_does_not_start_is_a_fault(monkeypatch):
    monkeypatch.setattr(doctor, "_ASK_JAX", "raise SystemExit('no driver')")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    (check,) = doctor._devices()
    assert (check.verdict, check.found) == (Verdict.FAULT, "JAX does not start: no driver")
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    (check,) = doctor._devices()
    assert check.found == "JAX does not start with JAX_PLATFORMS=tpu: no driver"
    assert check.cure.startswith("unset JAX_PLATFORMS, or ")
    monkeypatch.setattr(doctor, "_ASK_JAX", 'print(\'noise\'); print(\'["0.10", "gpu", ["H100", "H100"]]\')')
    (check,) = doctor._devices()
    assert (check.verdict, check.found) == (Verdict.OK, "JAX 0.10 on gpu: 2 × H100")
    monkeypatch.setattr(doctor, "_ASK_JAX", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "_DEVICES_SECONDS", 0.2)
    (check,) = doctor._devices()
    assert check.found == "JAX did not name its devices in 0 s"


def test_the_command_prints_cures_and_exits_by_the_faults(here, monkeypatch):
    monkeypatch.setattr(doctor, "_ASK_JAX", 'print(\'["0.10", "cpu", ["cpu"]]\')')
    told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 0, told.output
    assert "ok      store" in told.stdout
    Path("ray.py").touch()
    told = CliRunner().invoke(app, ["doctor", "--json"])
    assert told.exit_code == 1
    answer = json.loads(told.stdout)
    assert answer["faults"] == 1
    assert [check["cure"] for check in answer["checks"] if check["verdict"] == "fault"] == ["rename it, or work in another folder"]
