"""The plan as a table: a row a cell, with parameters, steps, FLOPs and estimated cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.dry_run import DryRun
    from orchestrator.plan import Plan, PlannedRun, PlannedSearch
    from orchestrator.search.replay import CellState

__all__ = ["ahead_of", "payload", "rows", "show", "show_findings"]


def rows(plan: Plan, states: dict[str, str] | None, searched: Sequence[CellState] = ()) -> list[dict[str, Any]]:
    """A row a cell. FLOPs, core-hours and wall time are those of one of its `runs` runs.

    Of a cell whose learning rates are found on the way, `policy` says how, and `runs` is how many it is expected to take.
    """
    found = {state.cell.key: state for state in searched}
    cells: dict[tuple[str, str, float], list[PlannedRun]] = {}
    for run in plan.runs:
        config = run.config
        cells.setdefault((config.model.family, config.model.name, config.schedule.epochs), []).append(run)
    return [
        {
            "family": family,
            "model": model,
            "epochs": epochs,
            "params": runs[0].params,
            "steps": runs[0].steps,
            "examples_seen": runs[0].examples_seen,
            "learning_rates": sorted({run.config.learning_rate for run in runs}),
            "policy": None,
            "seeds": len({run.config.seed for run in runs}),
            "runs": len(runs),
            "train_flops": runs[0].train_flops,
            "estimated_core_hours": runs[0].estimated_core_hours,
            "inherited_core_hours": runs[0].inherited_core_hours,
            "estimated_wall_seconds": runs[0].estimated_seconds,
            "state": _state(runs, states),
        }
        for (family, model, epochs), runs in cells.items()
    ] + [_search_row(search, found) for search in plan.searches]


def payload(plan: Plan, found: DryRun, *, measured: int = 0) -> dict[str, object]:
    """What `submit --dry-run --json` prints. measured: runs whose estimate rests on a measured rate instead of the file's MFU."""
    from dataclasses import asdict

    from scaling.columns import SCHEMA_VERSION

    return {
        "schema_version": SCHEMA_VERSION,
        "name": plan.spec.name,
        "dataset": plan.card.to_dict(),
        "resources": plan.spec.resources.model_dump()
        | {"chips": plan.spec.resources.chip_count, "cores": plan.spec.resources.core_count},
        "cells": rows(plan, found.states, found.searched),
        "known_runs": found.known,
        "looked_at": [asdict(split) for split in found.looked],
        "runs": len(plan.runs) + sum(search.expected_runs for search in plan.searches),
        "estimated_core_hours": plan.estimated_core_hours,
        "runs_estimated_by_measurement": measured,
        "inherited_core_hours": plan.inherited_core_hours,
    }


def show(
    plan: Plan, states: dict[str, str] | None, searched: Sequence[CellState] = (), *, to: Console | None = None, measured: int = 0
) -> None:
    """Print it, with what the whole grid comes to and on what the estimate rests."""
    from rich.table import Column, Table

    from scaling.cli.output import console, core_hours, duration, flops

    names = ("params", "epochs", "steps", "learning rate", "runs", "train FLOPs", "core-hours", "wall time")
    table = Table(
        "model",
        *[Column(name, justify="right") for name in names],
        *(["state"] if states is not None else []),
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for row in rows(plan, states, searched):
        table.add_row(
            row["model"], f"{row['params']:,}", f"{row['epochs']:g}", f"{row['steps']:,}", _rates(row), f"{'≈ ' if row['policy'] else ''}{row['runs']}",
            flops(row["train_flops"]), core_hours(row["estimated_core_hours"]), duration(row["estimated_wall_seconds"]),
            *([row["state"]] if states is not None else []),
        )  # fmt: skip
    out = to or console()
    card = plan.card
    out.print(
        f"{plan.spec.name}: {card.name}, {card.train_examples:,} training and {card.validation_examples:,} held-out examples, "
        f"{card.num_classes:,} classes, {card.image_shape[0]}×{card.image_shape[1]} px, batch {plan.spec.batch_size:,}",
        highlight=False,
    )
    out.print(table)
    expected = sum(search.expected_runs for search in plan.searches)
    out.print(
        f"{'about ' if expected else ''}{len(plan.runs) + expected} runs, {core_hours(plan.estimated_core_hours)} core-hours in all: "
        f"FLOPs, core-hours and wall time are a run's, estimated {_basis(plan, measured)}",
        highlight=False,
    )
    if expected:
        out.print(
            f"learning rates of {len(plan.searches)} cells are found on the way, in two trials each; which, depends on what the smaller cells show",
            highlight=False,
        )
    if plan.inherited_core_hours:
        spent = plan.estimated_core_hours - plan.inherited_core_hours
        out.print(
            f"shorter budgets start from the longest one's checkpoints: {core_hours(spent)} core-hours are spent, "
            f"{plan.inherited_core_hours / plan.estimated_core_hours:.0%} less than for each run alone",
            highlight=False,
        )
    if plan.spec.simulate:
        out.print(
            f"a rehearsal at {plan.spec.simulate.speed:g} simulated seconds a second: nothing is trained, losses follow a stated surface",
            highlight=False,
        )
    elif card.provisional:
        out.print("the data set is declared, not at hand: run ids are provisional and nothing can be trained", highlight=False)


def show_findings(plan: Plan, found: DryRun) -> None:
    """Print which runs exist already, and what was seen of the data."""
    from scaling.cli.output import console

    out, known = console(), found.known
    if known:
        counts = Counter(known.values())
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        out.print(f"{len(known)} of {len(found.states)} listed runs exist already: {states}")
    for split in found.looked:
        bad = f", {len(split.bad)} cannot be used and are skipped: {split.bad[0][0]}: {split.bad[0][1]}" if split.bad else ""
        out.print(f"{split.split} examples: {split.read:,} of {split.examples:,} read{bad or ', all can be used'}")
    limit, ahead = plan.spec.confirm_above, ahead_of(plan, found.states, found.searched)
    if limit is not None and ahead > limit.core_hours:
        out.print(f"`submit` asks first, or wants --yes: {ahead:,.3g} core-hours are above confirm_above ({limit.core_hours:g})")


def ahead_of(plan: Plan, states: Mapping[str, str], searched: Sequence[CellState]) -> float:
    """Core-hours that are still to be spent, by estimate."""
    ahead = sum(
        run.estimated_core_hours - run.inherited_core_hours
        for run in plan.runs
        if states[run.id] not in ("finished", "diverged", "stopped")
    )
    over = {state.cell.key for state in searched if state.is_over}
    return ahead + sum(search.estimated_core_hours for search in plan.searches if search.key not in over)


def _basis(plan: Plan, measured: int) -> str:
    """On what the estimates rest."""
    resources = plan.spec.resources
    unit = "core" if resources.accelerator == "cpu" else "chip"
    place = (
        f"{resources.chip_count} {resources.accelerator} {unit}{'s' if resources.chip_count > 1 else ''} "
        f"({resources.core_count} core{'s' if resources.core_count > 1 else ''})"
    )
    stated = f"at {resources.assumed_mfu:.3g} of the peak of {place}"
    if not measured:
        return stated
    count = len(plan.runs) + sum(search.expected_runs for search in plan.searches)
    of = "" if measured == count else f" for {measured} of them, the others {stated}"
    return f"from speeds that were measured on {place if not of else resources.accelerator}{of}"


def _state(runs: list[PlannedRun], states: dict[str, str] | None) -> str:
    if states is None:
        return ""
    counts: dict[str, int] = {}
    for run in runs:
        state = states[run.id]
        counts[state] = counts.get(state, 0) + 1
    return ", ".join(state if count == len(runs) else f"{count} {state}" for state, count in counts.items())


def _search_row(search: PlannedSearch, found: Mapping[tuple[str, str, float], CellState]) -> dict[str, Any]:
    run, config = search.run, search.run.config
    state = found.get(search.key)
    return {
        "family": config.model.family,
        "model": config.model.name,
        "epochs": config.schedule.epochs,
        "params": run.params,
        "steps": run.steps,
        "examples_seen": run.examples_seen,
        "learning_rates": sorted({row["learning_rate"] for row in state.runs}) if state else [],
        "policy": search.policy.to_dict(),
        "seeds": len(search.policy.seeds),
        "runs": search.expected_runs,
        "train_flops": run.train_flops,
        "estimated_core_hours": run.estimated_core_hours,
        "inherited_core_hours": run.inherited_core_hours,
        "estimated_wall_seconds": run.estimated_seconds,
        "state": _search_state(state),
    }


def _search_state(state: CellState | None) -> str:
    if state is None:
        return ""
    if state.learning_rate is not None:
        return f"found: {state.learning_rate:g}"
    done = sum(result is not None for _, result in state.trials.values())
    return f"{done} of {len(state.trials)} trials done" if done else "new" if state.state != "given-up" else "given up"


def _rates(row: Mapping[str, Any]) -> str:
    rates = row["learning_rates"]
    if row["policy"]:
        return f"{row['policy']['name']} from {row['policy']['start']:g}"
    return f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} … {rates[-1]:g}"
