"""The command: see the package."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path
from typing import Any

import benchmarks.programs as package
from benchmarks.programs.place import Place
from benchmarks.programs.scripts import NAMES
from benchmarks.programs.table import show

RESULTS = Path(__file__).parents[1] / "programs.json"
PACKAGES = ("torch", "lightning", "transformers", "accelerate")
LAWS = ("train_flops", "core_hours")


def main() -> None:
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, help="a virtual environment; made, with the libraries, if it is missing")
    parser.add_argument(
        "--scripts", nargs="*", choices=NAMES, default=list(NAMES), help="these alone; the others keep their results"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="between two strikes, on average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print the committed results")
    arguments = parser.parse_args()
    if arguments.table:
        show(json.loads(RESULTS.read_text()))
        return
    if arguments.environment is None:
        parser.error("--environment says where the libraries are, or are to be")
    python = _made(arguments.environment)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"scripts": []}
    results["versions"] = _versions(python)
    for name in arguments.scripts:
        with tempfile.TemporaryDirectory(prefix="prg-") as folder:
            found = _tried(Path(folder), python, name, arguments)
        kept = [each for each in results["scripts"] if each["script"] != name] + [found]
        results["scripts"] = sorted(kept, key=lambda each: NAMES.index(each["script"]))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    show(results)


def _tried(folder: Path, python: Path, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train by hand, undisturbed, and struck. Raises `SystemExit` with the log where a run did not finish."""
    plain = Place(folder / "plain", python, name)
    by_hand = plain.by_hand()
    if by_hand:
        raise SystemExit((plain.folder / "by-hand.log").read_text()[-3000:])
    plain.run()
    truths = plain.rows()
    struck = Place(folder / "struck", python, name)
    who = struck.run(chance=random.Random(arguments.seed), seconds=arguments.seconds)
    rows = struck.rows()
    for place, found in ((plain, truths), (struck, rows)):
        if not found or any(row["status"] != "finished" for row in found.values()) or place.processes():
            raise SystemExit(
                f"{name}: {found}, {place.processes()} processes left\n{(place.folder / 'submit.log').read_text()[-3000:]}"
            )
    runs = [row | {"undisturbed": truths[run_id]["val_loss"]} for run_id, row in rows.items()]
    laws = {x: struck.law(x) for x in LAWS} if name == "PyTorch" else {}
    found = {"script": name, "by_hand": by_hand, "struck": dict(Counter(who)), "runs": runs, "laws": laws}
    print(json.dumps(found, indent=1), flush=True)
    return found


def _made(environment: Path) -> Path:
    """The Python of a virtual environment, which is made if it is missing."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python.absolute()


def _versions(python: Path) -> dict[str, str]:
    asked = f"import json, importlib.metadata as m; print(json.dumps({{name: m.version(name) for name in {PACKAGES[:3]!r}}}))"
    done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    return {"Python": sys.version.split()[0]} | json.loads(done.stdout)


if __name__ == "__main__":
    main()
