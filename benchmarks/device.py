"""One GPU or TPU, measured in parts of four minutes at most: a step at 224 px, packed and unpacked, kill and resume to the bit, a small study.

    python benchmarks/device.py [--part step-F0 …] [--minutes 12] [--peer PYTHON]     # parts that are not done yet, as many as fit
    python benchmarks/device.py table                                                # what benchmarks/device.csv says, for docs/speed.md
    python benchmarks/device.py --smoke --csv /tmp/device.csv                         # the same parts at toy size on a CPU: do they run?

A part that ended well on a kind of device is not run on it again; `--again` does. Each part is a process of its own: `gpu_train_step.py`, `packed.py`,
`resume.py` and `scaling submit`, whose printed lines stand in the CSV. A part that takes longer than its limit is killed and noted as such.

Not run on a GPU or TPU yet: written without one at hand.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from csv_table import markdown, rows_of

HERE = Path(__file__).parent
LIMIT_SECONDS = 240.0
HEAD = ["date", "device", "part", "outcome", "seconds", "found"]

STUDY = """\
name: device
dataset: {{name: digits}}
models: [nano-F0, nano-F1, nano-F3]
epochs: {epochs}
batch_size: 64
learning_rate: 0.8
resources: {{accelerator: {accelerator}, {size}: 1}}
"""


@dataclass(frozen=True)
class Part:
    """what: for the table. command: its words; smoke: those at toy size. found: makes a line of what it printed."""

    what: str
    command: list[str]
    smoke: list[str]
    found: Callable[[str], str]


def lines_with(*words: str) -> Callable[[str], str]:
    """Keep the printed lines that hold one of the words."""
    return lambda text: "; ".join(" ".join(line.split()) for line in text.splitlines() if any(word in line for word in words))


def parts(peer: str | None) -> dict[str, Part]:
    beside = ["--peer", peer] if peer else []
    step = [sys.executable, str(HERE / "gpu_train_step.py")]
    packed = [
        sys.executable,
        str(HERE / "packed.py"),
        "--only",
        "nano-F0",
        "--stem",
        "small",
        "--threads",
        "1",
        "--form",
        "vectorised",
    ]
    resume = [sys.executable, str(HERE / "resume.py"), "--terms", "2"]
    study = [sys.executable, str(HERE / "device.py"), "study"]
    return {
        **{
            f"step-{model}": Part(
                f"{model} at 224 px, batch 128, bfloat16",
                [*step, "--models", model, *beside],
                [*step, "--smoke"],
                lines_with("images/s"),
            )
            for model in ("F0", "F1")
        },
        "packed": Part(
            "4 runs of nano-F0 packed and one by one",
            [*packed, "--runs", "4"],
            [*packed, "--runs", "4", "--rounds", "1", "--steps", "10"],
            lines_with("nano-F0"),
        ),
        "resume": Part(
            "random kills, resumed; bits of the end",
            [*resume, "--kills", "5", "--megabytes", "100"],
            [*resume, "--kills", "1", "--megabytes", "1"],
            lines_with("kills", "bits", "SIGTERM"),
        ),
        "study": Part(
            "12 runs of three nano models, and their law",
            study,
            [*study, "--smoke"],
            lines_with("val_loss", "core-hours of training"),
        ),
    }


def device() -> str:
    """The kind of device that JAX finds, asked in a process that does not keep it."""
    asked = "import jax; print(jax.devices()[0].device_kind)"
    return subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


def run(part: Part, *, smoke: bool) -> tuple[str, float, str]:
    """Outcome, seconds and what was found."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            part.smoke if smoke else part.command, cwd=HERE.parent, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return "too long", time.monotonic() - started, ""
    seconds = time.monotonic() - started
    if done.returncode:
        return "failed", seconds, (done.stderr.strip().splitlines() or [""])[-1]
    found = part.found(done.stdout)
    return ("ok" if found else "said nothing"), seconds, found


def study(*, smoke: bool) -> None:
    """A study on the device by the real command; its closing lines are what it prints."""
    from scaling.accelerators import ACCELERATORS

    kind = device()
    accelerator = next((name for name in ACCELERATORS if name != "cpu" and name in kind), "cpu")
    epochs = "[0.25, 0.5]" if smoke else "[1, 2, 4, 8]"
    with tempfile.TemporaryDirectory() as folder:
        size = "cores" if accelerator == "cpu" else "chips"
        Path(folder, "study.yaml").write_text(STUDY.format(epochs=epochs, accelerator=accelerator, size=size))
        command = [str(Path(sys.executable).with_name("scaling")), "submit", "study.yaml", "--yes"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}, check=False)
    print(done.stdout)
    print(done.stderr, file=sys.stderr)
    sys.exit(done.returncode)


def table(path: Path) -> None:
    done = rows_of(path) if path.exists() else []
    rows = []
    for name, part in parts(None).items():
        found = [row for row in done if row["part"] == name]
        rows += [[part.what, row["device"], row["outcome"], row["seconds"], row["found"]] for row in found]
        if not found:
            rows.append([part.what, "–", "not run yet", "–", "–"])
    print(markdown(["part", "device", "outcome", "seconds", "found"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table", "study"], default="run")
    parser.add_argument("--part", nargs="+", help="these alone")
    parser.add_argument("--minutes", type=float, default=20.0, help="begin no part that may end later than this")
    parser.add_argument("--peer", help="an interpreter with torch and timm, for the steps")
    parser.add_argument("--again", action="store_true", help="also what is done")
    parser.add_argument("--smoke", action="store_true", help="toy size")
    parser.add_argument("--csv", type=Path, default=HERE / "device.csv")
    given = parser.parse_args()
    if given.what == "table":
        table(given.csv)
        return
    if given.what == "study":
        study(smoke=given.smoke)
        return
    until, kind = time.monotonic() + 60 * given.minutes, device()
    known = {(row["device"], row["part"]) for row in (rows_of(given.csv) if given.csv.exists() else []) if row["outcome"] == "ok"}
    for name, part in parts(given.peer).items():
        if (given.part and name not in given.part) or ((kind, name) in known and not given.again):
            continue
        if time.monotonic() + LIMIT_SECONDS > until:
            print(f"{name}: no time left; the same command goes on with it")
            continue
        outcome, seconds, found = run(part, smoke=given.smoke)
        print(f"{kind}: {name}: {outcome} in {seconds:.0f} s: {found}", flush=True)
        new = not given.csv.exists()
        with given.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([HEAD] if new else [])
            writer.writerow(
                [datetime.now(UTC).strftime("%Y-%m-%d"), kind, name, outcome, f"{seconds:.0f}", re.sub(r"[|\r]", " ", found)]
            )


if __name__ == "__main__":
    main()
