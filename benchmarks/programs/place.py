"""A folder with a script, its experiments file and its store: what is run in it, struck in it, and read from it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.programs.scripts import script

__all__ = ["GRIDS", "Grid", "Place"]

ROOT = Path(__file__).parents[2]
SCALING = [sys.executable, "-P", "-m", "scaling.cli"]
FILE = """\
name: programs
trainer:
  command: {command}
models:
{models}epochs: {epochs}
learning_rate: {rate}
resources: {{accelerator: cpu, cores: {cores}}}
dataset: {{name: {dataset}, train_examples: {examples}}}
"""
_VARIED = ["--width", "{width}", "--epochs", "{epochs}", "--lr", "{learning_rate}", "--seed", "{seed}"]
_SUBMISSIONS = 12
_GONE_SECONDS = 40.0
"""How long an attempt may take to end when one of its processes was killed: torchrun waits 30 seconds for the others."""
_COLUMNS = "model", "epochs", "status", "val_loss", "attempts", "from_a_checkpoint", "useful_seconds", "redone_seconds"


@dataclass(frozen=True)
class Grid:
    """States what a script trains on: a network of two layers, with so many inputs and outputs."""

    widths: list[int]
    epochs: list[int]
    inputs: int
    outputs: int
    rate: float
    dataset: str
    examples: int
    processes: int = 1

    def models(self) -> str:
        """Return the lines of the experiments file."""
        sizes = [(width, (self.inputs + self.outputs) * width) for width in self.widths]
        return "".join(
            f"- {{name: w{width}, width: {width}, params: {macs + width + self.outputs}, macs: {macs}}}\n" for width, macs in sizes
        )


_SPECTRUM = {"inputs": 512, "outputs": 512, "rate": 0.1, "dataset": "spectrum", "examples": 8192}
_SINES = {"inputs": 4, "outputs": 1, "rate": 0.01, "dataset": "sines", "examples": 768}
GRIDS = {
    "PyTorch": Grid([32, 64, 128], [4, 12, 36, 108], **_SPECTRUM),
    "torchrun": Grid([64], [5, 10], **_SPECTRUM, processes=2),
    "Lightning": Grid([16], [40, 60], **_SINES),
    "Hugging Face": Grid([16], [40, 60], **_SINES),
}


class Place:
    """folder: a new one. python: of the virtual environment that has the script's libraries.

    Beside the script lies a copy of `scaling/program.py`: the environment needs nothing else of ours.
    """

    def __init__(self, folder: Path, python: Path, name: str) -> None:
        self.folder, grid = folder, GRIDS[name]
        (folder / "scaling").mkdir(parents=True)
        shutil.copy(ROOT / "scaling" / "program.py", folder / "scaling")
        (folder / "train.py").write_text(script(name))
        (folder / ".rayignore").write_text("*.log\nby-hand/\n")
        torchrun = [python.with_name("torchrun"), "--standalone", "--nproc-per-node", grid.processes]
        self.launch = [str(word) for word in (torchrun if name == "torchrun" else [python])]
        text = FILE.format(
            command=json.dumps([*self.launch, "train.py", *_VARIED]), models=grid.models(), epochs=grid.epochs, rate=grid.rate,
            cores=grid.processes, dataset=grid.dataset, examples=grid.examples,
        )  # fmt: skip
        (folder / "study.yaml").write_text(text)
        self.environment = os.environ | {
            "SCALING_DB": str(folder / "scaling.db"), "SCALING_HOME": str(folder / "runs"), "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def by_hand(self) -> int:
        """Run the script without scaling, in a folder of its own. Returns its exit code."""
        place = self.folder / "by-hand"
        place.mkdir()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SCALING_") and name != "PYTHONPATH"
        }
        arguments = ["--width", "16", "--epochs", "5", "--lr", "0.01", "--seed", "0"]
        command = [*self.launch, self.folder / "train.py", *arguments]
        with (self.folder / "by-hand.log").open("wb") as log:
            return subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=log, check=False).returncode

    def submit(self) -> subprocess.Popen[bytes]:
        """Start `scaling submit`."""
        with (self.folder / "submit.log").open("ab") as log:
            command = [*SCALING, "submit", "study.yaml", "--yes", "--json"]
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def run(self, *, chance: random.Random | None = None, seconds: float = 4.0) -> list[str]:
        """Run the study to its end. chance: strikes come from it, so many seconds apart on average. Returns who was struck."""
        struck: list[str] = []
        for _ in range(_SUBMISSIONS):
            process = self.submit()
            due = time.monotonic() + (chance.expovariate(1 / seconds) if chance else float("inf"))
            while process.poll() is None:
                if chance is not None and time.monotonic() > due:
                    victims = self._programs(reported=True)
                    struck += self._strike(chance, chance.choice(victims)) if victims else []
                    due = time.monotonic() + chance.expovariate(1 / seconds)
                time.sleep(0.05)
            if all(row["status"] == "finished" for row in self.rows().values()):
                break
        return struck

    def _strike(self, chance: random.Random, process: int) -> list[str]:
        """Kill a process of a script, its leash, or its trainer process, and wait until the attempt has no process.

        Returns which, as a list of one; an empty one where it was too late. Raises `SystemExit` where a process stays.
        """
        with suppress(OSError, ValueError):
            program, attempt = process, _events(process)
            while not _is_leash(leash := _parent(program)):
                program = leash
            mine = "program" if process == program else "process of torchrun"
            who, pid = chance.choice([(mine, process), ("leash", leash), ("trainer process", _parent(leash))])
            if pid > 1:
                os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + _GONE_SECONDS
                while left := [each for each in self._programs() if _events(each) == attempt]:
                    if time.monotonic() > deadline:
                        raise SystemExit(f"{who} was killed, and {left} of its attempt are there {_GONE_SECONDS} s later")
                    time.sleep(0.05)
                return [who]
        return []

    def _programs(self, *, reported: bool = False) -> list[int]:
        """Processes of the scripts: those with SCALING_EVENTS below this folder, but for the leash. reported: only of those that have reported something."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                events = _events(pid := int(process.name))
                if events is None or not events.is_relative_to(self.folder) or _is_leash(pid):
                    continue
                if not reported or events.stat().st_size:
                    found.append(pid)
        return found

    def rows(self) -> dict[str, dict[str, Any]]:
        """What became of each run, by its id."""
        query = (
            "SELECT r.id, r.model, r.epochs, r.status, r.val_loss, count(*), sum(a.first_step > 0), sum(a.useful_seconds), sum(a.redone_seconds)"
            " FROM runs r JOIN attempts a ON a.run_id = r.id GROUP BY r.id ORDER BY r.params, r.epochs"
        )
        with closing(sqlite3.connect(self.folder / "scaling.db", timeout=60)) as store:
            return {run_id: dict(zip(_COLUMNS, rest, strict=True)) for run_id, *rest in store.execute(query)}

    def processes(self) -> int:
        """How many processes of the script are left."""
        return len(self._programs())

    def law(self, x: str) -> str:
        """What `scaling fit` says of the study."""
        command = [*SCALING, "fit", "--metric", "val_loss", "--x", x]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def _parent(pid: int) -> int:
    """Raises `OSError` for a process that has ended, and for the first."""
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def _events(pid: int) -> Path | None:
    """Return the file to which a process reports. None for a process that has none, or has ended."""
    with suppress(OSError):
        for each in (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0"):
            if each.startswith(b"SCALING_EVENTS="):
                return Path(os.fsdecode(each.partition(b"=")[2]))
    return None


def _is_leash(pid: int) -> bool:
    return b"orchestrator.cluster.leash" in (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
