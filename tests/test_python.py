"""The public face: what `scaling` exports is documented by examples that run, and works beside a user's own files."""

from __future__ import annotations

import base64
import doctest
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scaling
from tests.api import small_grid
from tests.trainer.pictures import encoded, photo

ROOT = Path(__file__).parents[1]
FUNCTIONS = [name for name in scaling.__all__ if name.islower() and name not in ("read_spec", "train")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the documentation's tables, a store, and photos of which two are the same."""
    folder = tmp_path_factory.mktemp("python")
    for name, seed in (("train/a/0", 0), ("train/b/1", 0), ("val/a/0", 1), ("val/b/1", 2)):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / f"{name}.png").write_bytes(encoded(photo(96, 96, seed), "PNG"))
    (folder / "docs").symlink_to(ROOT / "docs")
    small_grid.fill(folder / "scaling.db")
    return folder


@pytest.fixture(scope="module")
def runs():
    return scaling.read_runs(ROOT / "docs" / "default_study.csv")


@pytest.mark.parametrize("name", ["scaling", "Store.runs", *FUNCTIONS])
def test_the_examples_of_the_public_face_run(place, runs, monkeypatch, name):
    monkeypatch.chdir(place)
    shown = scaling if name == "scaling" else scaling.Store.runs if name == "Store.runs" else getattr(scaling, name)
    test = doctest.DocTestParser().get_doctest(shown.__doc__, {"scaling": scaling, "runs": runs}, name, None, None)
    assert test.examples
    report = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


def test_the_page_lists_the_public_face():
    text = (ROOT / "docs" / "python.md").read_text()
    assert {name for name in FUNCTIONS if f"scaling.{name}(" not in text} == set()
    assert {name for name in re.findall(r"scaling\.(\w+)\(", text) if name not in scaling.__all__} == set()


def test_the_dictionary_of_the_page_is_planned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = [
        found
        for found in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
        if "study = {" in found
    ]
    exec(f"import scaling\n{block}")
    assert float(capsys.readouterr().out) > 0
    assert not list(tmp_path.iterdir())


def asked(folder, *words, **environment):
    """What Python says in a folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def test_import_loads_nothing_heavy(tmp_path):
    script = "import sys, scaling; dir(scaling); print([name for name in ('numpy', 'analysis', 'trainer', 'orchestrator') if name in sys.modules])"
    assert asked(tmp_path, "-c", script).stdout.strip() == "[]"


TRIED = """\
import scaling
try:
    print(callable(scaling.{name}))
except scaling.ScalingError as error:
    print(f"{{type(error).__name__}}: {{error}} ({{error.hint}})")
"""


@pytest.mark.parametrize(
    ("file", "name", "in_the_way"),
    [
        ("analysis.py", "fit", True),
        ("analysis.py", "submit", True),
        ("trainer.py", "submit", True),
        ("trainer.py", "fit", False),  # which needs no trainer
        ("orchestrator.py", "runs", True),
        ("api.py", "submit", False),
        ("trainer/__init__.py", "train", True),
        ("analysis/notes.txt", "fit", False),  # a folder without modules is no package
    ],
)
def test_a_file_of_the_users_is_named_or_not_in_the_way(tmp_path, file, name, in_the_way):
    theirs = tmp_path / file
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("raise SystemExit('it was run')")
    (tmp_path / "script.py").write_text(TRIED.format(name=name))
    done = asked(tmp_path, "script.py")
    assert done.returncode == 0, done.stderr
    if in_the_way:
        assert done.stdout.startswith(f"UsageError: {theirs} is what Python imports as {Path(file).parts[0].removesuffix('.py')!r}")
        assert "rename it" in done.stdout
        assert asked(tmp_path, "script.py", PYTHONSAFEPATH="1").stdout == "True\n"
    else:
        assert done.stdout == "True\n"


@pytest.mark.parametrize("name", ["api", "analysis"])
def test_the_command_names_it_too(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("")
    done = asked(tmp_path, "-m", "scaling.cli", "status")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / name}.py is what Python imports as {name!r}")


@pytest.fixture
def installed(tmp_path):
    """Packages of ours as an installer leaves them, with a RECORD beside them: a folder for the path, and a function that installs one file more."""
    place = tmp_path / "site-packages"
    for name in ("scaling", "trainer"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("analysis", "api", "orchestrator"):
        (place / name).symlink_to(ROOT / name)

    def install(distribution, file, text):
        (place / file).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record = place / f"{distribution}-1.0.dist-info" / "RECORD"
        record.parent.mkdir()
        record.write_text(f"{file},sha256={digest},{len(text)}\n{distribution}-1.0.dist-info/RECORD,,\n")

    install("scaling", "trainer/__init__.py", (ROOT / "trainer" / "__init__.py").read_text())
    return place, install


def test_a_distribution_that_overwrites_a_package_is_named(installed, tmp_path):
    """`pip install trainer` writes its `trainer/__init__.py` over ours without a word."""
    place, install = installed
    (tmp_path / "script.py").write_text(TRIED.format(name="train"))
    assert asked(tmp_path, "script.py", PYTHONPATH=str(place)).stdout == "True\n"
    install("trainer", "trainer/__init__.py", "raise SystemExit('it was run')")
    shown = asked(tmp_path, "script.py", PYTHONPATH=str(place)).stdout
    assert shown.startswith(
        f"UsageError: {place / 'trainer' / '__init__.py'} is no longer that of scaling: the distribution 'trainer'"
    )
    assert "pip uninstall trainer" in shown
    assert "hint: `pip uninstall trainer`" in asked(tmp_path, "-c", "import scaling; scaling.train", PYTHONPATH=str(place)).stderr
    (place / "trainer" / "__init__.py").unlink()  # which that does
    shown = asked(tmp_path, "-S", "script.py", PYTHONPATH=str(place)).stdout
    assert shown.startswith(f"UsageError: {place / 'trainer' / '__init__.py'} is missing")
    assert "install scaling again" in shown


def test_a_package_that_its_user_changed_is_left_alone(installed, tmp_path):
    place, _ = installed
    (tmp_path / "script.py").write_text(TRIED.format(name="train"))
    with (place / "trainer" / "__init__.py").open("a") as file:
        file.write("\n# mended here\n")
    assert asked(tmp_path, "script.py", PYTHONPATH=str(place)).stdout == "True\n"


def test_a_distribution_before_ours_on_the_path_is_named(installed, tmp_path):
    """As beside an editable install, whose folder comes last."""
    place, install = installed
    install("trainer", "trainer/__init__.py", "raise SystemExit('it was run')")
    (tmp_path / "script.py").write_text(TRIED.format(name="train"))
    shown = asked(tmp_path, "-c", f"import sys, scaling; sys.path.insert(0, {str(place)!r}); exec(open('script.py').read())").stdout
    assert shown.startswith(f"UsageError: {place / 'trainer' / '__init__.py'} is what Python imports as 'trainer'")
    assert "pip uninstall trainer" in shown
