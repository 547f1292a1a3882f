"""The rows of all shards as tables in Markdown."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles

__all__ = ["show", "show_sum"]


def show(faults: Path, rounds: Path) -> None:
    """Print kind × injected × recovered × lost × counted twice × bit-different with the times, and goodput by rate."""
    with faults.open() as file:
        rows = list(csv.DictReader(file))
    print(
        "| kind | family | injected | recovered | lost | counted twice | bit-different | detect p50 / p95 (s) | resume p50 / p95 (s) |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["family"]].append(row)
    for (kind, family), group in sorted(groups.items()):
        print(f"| {kind} | {family} | {_counts(group)} | {_times(group, 'detect_seconds')} | {_times(group, 'resume_seconds')} |")
    print(f"| all | | {_counts(rows)} | {_times(rows, 'detect_seconds')} | {_times(rows, 'resume_seconds')} |")
    print()
    print("| strikes a minute, as seen | rounds | goodput | seconds a round |")
    print("|---|---|---|---|")
    with rounds.open() as file:
        played = [row for row in csv.DictReader(file) if row["family"] == "simulated"]
    by_rate: dict[float, list[dict[str, str]]] = defaultdict(list)
    for row in played:
        by_rate[float(row["per_minute"])].append(row)
    for _, group in sorted(by_rate.items()):
        seen = sum(int(row["faults"]) for row in group) / sum(float(row["wall_seconds"]) for row in group) * 60
        goodput = median(float(row["goodput"]) for row in group)
        print(f"| {seen:.1f} | {len(group)} | {goodput:.3f} | {median(float(row['wall_seconds']) for row in group):.1f} |")


def show_sum(faults: Path) -> None:
    """Print in two sentences how many faults there were, what they came to, and how long it took."""
    with faults.open() as file:
        rows = list(csv.DictReader(file))
    lost, twice, different = (sum(int(row[name]) for row in rows) for name in ("lost", "counted_twice", "bit_different"))
    real, programs = (sum(row["family"] == family for row in rows) for family in ("real", "program"))
    wrong = (
        f"{lost or 'no'} run{'s' if lost > 1 else ''} lost, {twice or 'none'} counted twice, {different or 'none'} with other bits"
    )
    print(
        f"**{len(rows):,} faults, {real:,} of them on real trainings and {programs:,} on those of a user's program, which were compared bit by bit: {wrong}.**"
    )
    print(
        f"Over all kinds p50 / p95 are {_times(rows, 'detect_seconds')} s to detect and {_times(rows, 'resume_seconds')} s to resume."
    )


def _counts(group: list[dict[str, str]]) -> str:
    sums = [sum(int(row[name]) for row in group) for name in ("recovered", "lost", "counted_twice", "bit_different")]
    return " | ".join(map(str, [len(group), *sums]))


def _times(group: list[dict[str, str]], name: str) -> str:
    times = [
        float(row[name]) for row in group if row[name] and (row["runs"] or "scheduler" in row["kind"] or row["kind"] == "SIGHUP")
    ]
    if len(times) < 2:
        return f"{times[0]:.1f}" if times else "–"
    late = quantiles(times, n=20, method="inclusive")[-1]
    return f"{median(times):.1f} / {late:.1f}"
