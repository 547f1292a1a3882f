"""What of a program's folder is copied for other nodes, and how. What ignore files leave out is held against git's own reading of them."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import shipping
from orchestrator.shipping import Shipment, files_of, version_of, working_folder
from scaling.errors import UsageError

COMMAND = ["python", "train.py"]


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def copied(folder, home, **how):
    """The files and links of the copy of a folder, by their paths."""
    shipment = Shipment.of(folder, COMMAND, home=home, **how)
    assert not shipment.too_much
    copy = home / "programs" / shipment.copy_to(home, version_of(folder, COMMAND))
    found = [path for path in copy.rglob("*") if path.is_symlink() or path.is_file()]
    assert len(found) == shipment.count
    return copy, sorted(path.relative_to(copy).as_posix() for path in found)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "study"
    write(folder, {"train.py": "print(1)", "conf/a.yaml": "a: 1", "tools/run.sh": "#!/bin/sh", "lib.so": "\0", ".env": "KEY=1"})
    (folder / "tools" / "run.sh").chmod(0o755)
    return folder


def test_everything_is_copied_but_what_is_no_source(folder, tmp_path):
    sources = [".env", "conf/a.yaml", "lib.so", "other/scaling.db", "tools/run.sh", "train.py"]
    write(folder, dict.fromkeys(["scaling.db", "scaling.db-wal", "scaling.db.before-0009", "other/scaling.db"], ""))
    write(
        folder, dict.fromkeys([".git/config", ".venv/x.txt", "venv/pyvenv.cfg", "venv/lib/x.txt", "conda/conda-meta/history"], "")
    )
    write(folder, dict.fromkeys(["conda/bin/x", "pkg/__pycache__/x.pyc", "node_modules/x.js"], ""))
    os.mkfifo(folder / "pipe")
    database = folder / "scaling.db"
    copy, found = copied(folder, folder / "runs", database=database)
    assert found == sources
    assert os.access(copy / "tools" / "run.sh", os.X_OK)
    write(folder, {"runs/0123456789ab/run/1/log.txt": "long"})
    assert copied(folder, folder / "runs", database=database) == (copy, found)
    assert copied(folder, tmp_path / "elsewhere", database=database)[1] == sources, "runs of another study lie below it"


def test_a_folder_may_be_that_of_its_runs(folder):
    _, found = copied(folder, folder)
    write(folder, {"0123456789ab/run/1/log.txt": "long", "compile-cache/x": ""})
    assert copied(folder, folder)[1] == found


def test_what_a_program_writes_into_its_runs_is_no_part_of_it(folder):
    before = version_of(folder, COMMAND)
    copied(folder, folder / "runs")
    write(folder, {"runs/0123456789ab/run/kept/model.py": ""})
    assert version_of(folder, COMMAND) == before


def test_the_version_is_of_the_scripts_and_of_what_the_command_names(folder):
    write(folder, {".hidden/x.py": "", "notes.txt": ""})
    assert [path.name for path in files_of(folder, COMMAND)] == ["train.py"]
    assert [path.name for path in files_of(folder, [*COMMAND, "notes.txt", "/etc/hosts", "../up.py"])] == ["notes.txt", "train.py"]
    before = version_of(folder, COMMAND)
    write(folder, {"conf/a.yaml": "a: 2", ".gitignore": "*.py"})
    assert version_of(folder, COMMAND) == before
    write(folder, {"train.py": "print(2)"})
    assert version_of(folder, COMMAND) != before


def test_a_folder_of_scripts_alone_has_the_copy_that_earlier_versions_made(tmp_path):
    write(tmp_path / "study", {"train.py": "print(1)", "pkg/x.py": ""})
    copy, found = copied(tmp_path / "study", tmp_path / "runs")
    assert copy.name == version_of(tmp_path / "study", COMMAND) == version_of(copy, COMMAND)
    assert found == ["pkg/x.py", "train.py"]


PATTERNS = [
    "*.bin",
    "/data/",
    "a/**/b",
    "!keep.bin",
    "sub/*",
    "!sub/keep.txt",
    "x?.txt",
    "[z-a]",
    "# no",
    "\\",
    "!",
    "c",
    "/d/e",
    "**/f",
]
NAMES = ["data", "a", "b", "c", "d", "e", "f", "sub", "keep.bin", "one.bin", "keep.txt", "x1.txt", "xy.txt", "g.txt"]


@pytest.mark.parametrize("seed", range(12))
def test_ignore_files_are_read_as_git_reads_them(tmp_path, seed):
    """Git is asked what it does not ignore in a tree of random names and patterns; the study is a folder of a repository or its root."""
    draw, root = random.Random(seed), tmp_path / "repository"
    folder = root / ("below/study" if seed % 2 else "")
    for _ in range(60):
        path = folder.joinpath(*draw.choices(NAMES, k=draw.randint(1, 4)))
        if not path.exists() and not any(above.is_file() for above in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    for place in [root, folder, *draw.sample(sorted(path for path in folder.rglob("*") if path.is_dir()), 3)]:
        (place / ".gitignore").write_text("\n".join(draw.sample(PATTERNS, 5)))
    subprocess.run(["git", "init", "-q", root], check=True)
    listed = subprocess.run(
        ["git", "-c", "core.excludesFile=", "ls-files", "-oz", "--exclude-standard"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    assert copied(folder, tmp_path / "runs")[1] == sorted(filter(None, listed.stdout.split("\0")))


def test_a_rayignore_has_the_last_word_and_needs_no_git(folder, tmp_path):
    write(folder, {".gitignore": "*.yaml\n", ".rayignore": "!a.yaml\n/tools/\n", "data/x.bin": ""})
    found = copied(folder, tmp_path / "runs")[1]
    assert "conf/a.yaml" in found
    assert "tools/run.sh" not in found


def test_a_study_in_a_folder_that_its_repository_ignores_is_whole(folder, tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path, {".gitignore": "*\n"})
    assert "conf/a.yaml" in copied(folder, tmp_path / "runs")[1]


def test_links_stay_links_and_are_not_followed(folder, tmp_path):
    write(tmp_path, {"data/huge.bin": "x", "other.py": "shared = 1"})
    for name, target in {
        "data": tmp_path / "data",
        "alias.yaml": "conf/a.yaml",
        "conf/tools": folder / "tools",
        "loop": folder,
        "gone": "nowhere",
        "circle": folder / "elcric",
        "elcric": "circle",
        "shared.py": tmp_path / "other.py",
    }.items():
        (folder / name).symlink_to(target)
    copy, found = copied(folder, tmp_path / "runs")
    assert {"data", "loop", "gone", "circle", "elcric"} < set(found)
    assert not any(name.startswith(("data/", "loop/")) for name in found)
    shutil.move(folder, tmp_path / "away")
    assert (copy / "data" / "huge.bin").read_text() == "x"
    assert (copy / "alias.yaml").read_text() == "a: 1"
    assert (copy / "conf" / "tools" / "run.sh").resolve() == (copy / "tools" / "run.sh").resolve()
    assert (copy / "loop").resolve() == copy.resolve()
    assert not (copy / "shared.py").is_symlink(), "a script is hashed by what it holds"


def test_too_much_is_told_without_reading_it(folder, tmp_path):
    """60 GB of zeros take no space, and would take a minute to read."""
    write(folder, {"data/train.bin": ""})
    os.truncate(folder / "data" / "train.bin", 60 * 10**9)
    shipment = Shipment.of(folder, COMMAND, home=tmp_path / "runs")
    assert f"{folder} holds more than 100 MB to copy for other nodes: among them data/train.bin (60.0 GB)" in shipment.too_much
    assert shipment.copy_to(tmp_path / "runs", version_of(folder, COMMAND)) == version_of(folder, COMMAND), "the scripts alone"
    write(folder, {".rayignore": "data/\n"})
    assert not Shipment.of(folder, COMMAND).too_much


def test_too_many_files_are_told_by_their_folder(folder, monkeypatch):
    monkeypatch.setattr(shipping, "_MOST_FILES", 20)
    for number in range(30):
        write(folder, {f"data/{number}.png": ""})
    assert "more than 20 files to copy for other nodes: among them data (" in Shipment.of(folder, COMMAND).too_much


def test_a_program_that_was_edited_after_it_was_planned_is_not_copied(folder, tmp_path):
    planned = version_of(folder, COMMAND)
    shipment = Shipment.of(folder, COMMAND)
    write(folder, {"train.py": "print(2)"})
    with pytest.raises(UsageError, match="edited while they were submitted"):
        shipment.copy_to(tmp_path / "runs", planned)
    assert [path.name for path in (tmp_path / "runs" / "programs").iterdir()] == [".scaling-programs"]


def test_what_the_disk_refuses_is_one_line(folder, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "programs").write_text("a file")
    with pytest.raises(UsageError, match="programs"):
        Shipment.of(folder, COMMAND).copy_to(tmp_path / "runs", version_of(folder, COMMAND))
    (tmp_path / "runs" / "programs").unlink()
    with pytest.raises(UsageError, match=r"cannot be copied into .*: .*File name too long"):
        Shipment(folder, (Path("x" * 300),)).copy_to(tmp_path / "runs", version_of(folder, COMMAND))


def test_two_that_copy_at_once_make_one_copy(folder, tmp_path):
    """In processes of their own, as two commands that are submitted at once."""
    script = f"""
from pathlib import Path
from orchestrator.shipping import Shipment, version_of
folder = Path({str(folder)!r})
print(Shipment.of(folder, {COMMAND!r}).copy_to(Path({str(tmp_path / "runs")!r}), version_of(folder, {COMMAND!r})))
"""
    several = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    names = {process.communicate()[0].strip() for process in several}
    assert [process.returncode for process in several] == [0] * 4
    assert {path.name for path in (tmp_path / "runs" / "programs").iterdir()} == names | {".scaling-programs"}
    assert len(names) == 1


def test_an_attempt_starts_in_the_folder_else_in_its_own_copy(folder, tmp_path):
    home, files = tmp_path / "runs", version_of(folder, COMMAND)
    copy, _ = copied(folder, home)
    execution = {"folder": str(folder), "files": files, "copy": copy.name}
    assert working_folder(execution, home, COMMAND) == (folder, "")
    write(folder, {"conf/a.yaml": "a: 2"})
    assert working_folder(execution, home, COMMAND) == (folder, ""), "as it would by hand"
    write(folder, {"train.py": "print(2)"})
    where, why = working_folder(execution, home, COMMAND)
    assert (where, (where / "conf" / "a.yaml").read_text()) == (copy, "a: 1")
    assert "not as they were planned" in why
    shutil.rmtree(folder)
    assert working_folder(execution, home, COMMAND) == (copy, f"{folder} is not on this node")
    with pytest.raises(UsageError, match="not as they were planned"):
        working_folder(execution, tmp_path / "elsewhere", COMMAND)
