"""The command: see the package."""

from __future__ import annotations

import argparse
import csv
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import benchmarks.faults as package
from benchmarks.faults import a_program
from benchmarks.faults.grids import REAL, finetuned, programmed, rehearsed
from benchmarks.faults.kinds import OF_PROGRAMS
from benchmarks.faults.round import Played, play, row_of, truths_of_rehearsals, truths_of_runs
from benchmarks.faults.table import show, show_sum
from benchmarks.faults.world import HANG_SECONDS, World, new_world

CSV = Path(__file__).parents[1] / "faults.csv"
ROUNDS = Path(__file__).parents[1] / "faults_rounds.csv"
RATES = (0.0, 20.0, 40.0, 80.0)
"""Strikes a minute, a rate a round in turn."""
_CLOCK = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=("simulated", "finetuned", "real", "program"), default="simulated")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--kinds", nargs="*", help="strike with these kinds alone")
    parser.add_argument("--rate", type=float, help="strikes a minute; else 0, 20, 40 and 80 in turn")
    parser.add_argument("--most", type=int, help="strikes a round at most")
    parser.add_argument("--runs", type=int, default=12, help="rehearsed runs a model and round")
    parser.add_argument("--replay", type=int, help="this round alone")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--sum", action="store_true", help="what all faults of the CSV came to, in two sentences")
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--rounds", type=Path, default=ROUNDS)
    arguments = parser.parse_args()
    if arguments.table:
        show(arguments.csv, arguments.rounds)
        return
    if arguments.sum:
        show_sum(arguments.csv)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves through `new_world`, which cleans up
    number = arguments.replay if arguments.replay is not None else _next_round(arguments.rounds)
    if arguments.family == "program":
        arguments.kinds = arguments.kinds or list(OF_PROGRAMS)
    asked = " ".join(arguments.kinds or [])
    with new_world(cores=2, served="PostgreSQL" in asked, is_local="raylet" in asked) as world:
        world.serve()
        until = time.monotonic() + 60 * arguments.minutes
        real = None if arguments.family == "simulated" else _undisturbed(world, arguments.family)
        while time.monotonic() < until:
            rate = arguments.rate if arguments.rate is not None else RATES[number % len(RATES)]
            if real is None:
                world.file.write_text(rehearsed(number, runs=arguments.runs))
                truths = truths_of_rehearsals(world.file)
            else:
                rate, truths = rate or 10.0, real
                _fresh(world)
            extra = {}
            if arguments.kinds and "wall clock set" in arguments.kinds:
                (world.root / "clock").write_text("+0s\n")
                extra = {
                    "LD_PRELOAD": _CLOCK,
                    "FAKETIME_TIMESTAMP_FILE": str(world.root / "clock"),
                    "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                }
            limits = {"per_minute": rate, "kinds": arguments.kinds, "most": arguments.most}
            played = play(world, seed=number, truths=truths, extra=extra, **limits)
            _note(arguments, number, rate, played)
            if not played.verdict.is_clean:
                print(f"kept for a look: {_kept(world)}", flush=True)
            if arguments.replay is not None:
                return
            number += 1


def _undisturbed(world: World, family: str) -> dict[str, Any]:
    """The grid of a family once without faults: what each of its runs must come to."""
    if family == "program":
        shutil.copy(a_program.__file__, world.root / "train.py")
        world.file.write_text(programmed(silence=HANG_SECONDS))
    elif family == "finetuned":
        world.file.write_text(finetuned())
    else:
        epochs = [1, *(round(12 + 1.5 * place, 2) for place in range(5))]
        world.file.write_text(REAL.format(round=0, epochs=epochs))
    process = world.submit()
    process.wait()
    truths = truths_of_runs(world)
    print(f"undisturbed: {len(truths)} runs, {sum(truth.digest is not None for truth in truths.values())} with a last state")
    return truths


def _fresh(world: World) -> None:
    """No store, and no run's folder but what was compiled."""
    if world.api is not None:
        world.api.kill()
        world.api.wait()
    for path in world.disk.glob("*.db*"):
        path.unlink()
    for path in world.home.iterdir():
        if path.name != "compile-cache":
            shutil.rmtree(path, ignore_errors=True)


def _kept(world: World) -> Path:
    """A copy of the store and of all folders of attempts."""
    kept = Path(tempfile.mkdtemp(prefix="faults-wrong-"))
    shutil.copytree(world.home, kept / "home", ignore=shutil.ignore_patterns("compile-cache"))
    shutil.copytree(world.disk, kept / "disk")
    return kept


def _next_round(rounds: Path) -> int:
    if not rounds.exists():
        return 0
    with rounds.open() as file:
        return max((int(row["round"]) for row in csv.DictReader(file)), default=-1) + 1


def _note(arguments: argparse.Namespace, number: int, rate: float, played: Played) -> None:
    verdict = played.verdict
    wrong = {"lost": verdict.lost, "counted_twice": verdict.counted_twice, "bit_different": verdict.bit_different}
    rows = []
    for strike in played.strikes:
        struck = {run_id for run_id, _ in strike.attempts}
        bad = {name: len(struck & set(runs)) if struck else len(runs) for name, runs in wrong.items()}
        row = row_of(strike, round=number, family=arguments.family)
        rows.append(row | {"recovered": int(not any(bad.values()) and not verdict.store), **bad})
    _append(arguments.csv, rows)
    _append(
        arguments.rounds,
        [
            {
                "round": number,
                "family": arguments.family,
                "per_minute": rate,
                "faults": len(played.strikes),
                "runs": played.runs,
                "wall_seconds": round(played.wall_seconds, 1),
                "goodput": round(played.goodput, 4),
                **{name: len(runs) for name, runs in wrong.items()},
                "store": len(verdict.store),
            }
        ],
    )
    print(
        f"round {number}: {len(played.strikes)} faults in {played.wall_seconds:.0f} s, goodput {played.goodput:.3f}"
        + ("" if verdict.is_clean else f" WRONG: {wrong} {verdict.store}"),
        flush=True,
    )


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
