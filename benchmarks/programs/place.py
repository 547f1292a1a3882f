"""A folder with a script, its experiments file and its store: what is run in it, struck in it, and read from it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from benchmarks.programs.scripts import script

__all__ = ["Place"]

ROOT = Path(__file__).parents[2]
SCALING = [sys.executable, "-P", "-m", "scaling.cli"]
FILE = """\
name: programs
trainer:
  command: [{python}, train.py, --width, "{{width}}", --epochs, "{{epochs}}", --lr, "{{learning_rate}}", --seed, "{{seed}}"]
models:
{models}epochs: {epochs}
learning_rate: {rate}
resources: {{accelerator: cpu, cores: 1}}
dataset: {{name: sines, train_examples: {examples}}}
"""
_MODEL = "- {{name: w{width}, width: {width}, params: {params}, macs: {macs}}}\n"
_SUBMISSIONS = 12
_COLUMNS = "model", "epochs", "status", "val_loss", "attempts", "from_a_checkpoint", "useful_seconds", "redone_seconds"


class Place:
    """folder: a new one. python: of the virtual environment that has the script's libraries.

    Beside the script lies a copy of `scaling/program.py`: the environment needs nothing else of ours.
    """

    def __init__(self, folder: Path, python: Path, name: str, *, widths: list[int], epochs: list[int]) -> None:
        self.folder, self.python = folder, python
        (folder / "scaling").mkdir(parents=True)
        shutil.copy(ROOT / "scaling" / "program.py", folder / "scaling")
        (folder / "train.py").write_text(script(name))
        models = "".join(_MODEL.format(width=width, params=6 * width + 1, macs=5 * width) for width in widths)
        rate, examples = (0.01, 768) if name != "PyTorch" else (0.1, 1792)
        (folder / "study.yaml").write_text(FILE.format(python=python, models=models, epochs=epochs, rate=rate, examples=examples))
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
        arguments = ["--width", "8", "--epochs", "5", "--lr", "0.01", "--seed", "0"]
        command = [self.python, self.folder / "train.py", *arguments]
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

    def _strike(self, chance: random.Random, program: int) -> list[str]:
        with suppress(OSError, ValueError):
            leash = _parent(program)
            who, pid = chance.choice([("program", program), ("leash", leash), ("trainer process", _parent(leash))])
            if pid > 1:
                os.kill(pid, signal.SIGKILL)
                return [who]
        return []

    def _programs(self, *, reported: bool = False) -> list[int]:
        """Processes of the script. Each has SCALING_EVENTS below this folder. reported: only those that have reported something."""
        found, mine = [], f"SCALING_EVENTS={self.folder}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                events = [each for each in (process / "environ").read_bytes().split(b"\0") if each.startswith(mine)]
                if not events or words[:2] != [str(self.python).encode(), b"train.py"]:
                    continue
                if not reported or Path(os.fsdecode(events[0].partition(b"=")[2])).stat().st_size:
                    found.append(int(process.name))
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

    def law(self) -> str:
        """What `scaling fit` says of the study."""
        command = [*SCALING, "fit", "--metric", "val_loss", "--x", "train_flops"]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def _parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
