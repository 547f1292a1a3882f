"""A plan with its price: measured speeds in place of the file's stated utilisation, and what the store has done of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.planning.data_notes import data_notes
from orchestrator.planning.finetuned import ExpectedFinetuning, expected_finetuning
from orchestrator.planning.plan import Plan, PlannedRun, PlannedSearch
from orchestrator.store import open_readonly
from orchestrator.store.estimates import Rates, measured_rates
from scaling.accelerators import estimate_core_hours
from scaling.columns import SCHEMA_VERSION
from scaling.errors import StoreError
from scaling.outcomes import RunStatus
from scaling.rounding import amount, money

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.search.replay import CellState
    from trainer.data.check import Looked

__all__ = ["DONE", "Priced", "price", "rates_in", "rates_of"]

DONE = (RunStatus.FINISHED, RunStatus.DIVERGED, RunStatus.STOPPED)
"""Statuses of runs that `submit` does not do again."""


@dataclass(frozen=True)
class Priced:
    """Holds a plan, what it costs, and which of its runs are done.

    measured: how many of its runs are estimated from a rate that was measured rather than by the file's MFU; of a search, those it is
        expected to ask for.
    states: run id → `new` or its status in the store; empty while nobody has looked. searched: the states of its searches.
    looked: at both splits, by a dry run whose data are at hand and which would train something. remarks: what else it found, in sentences.
    finetuned: run id → status of the fine-tuned runs that the experiment has.
    """

    plan: Plan = field(repr=False)
    measured: int = 0
    states: Mapping[str, str] = field(default_factory=dict, repr=False)
    searched: Sequence[CellState] = field(default=(), repr=False)
    looked: tuple[Looked, ...] = ()
    remarks: tuple[str, ...] = ()
    finetuned: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def finetuning(self) -> ExpectedFinetuning | None:
        """Estimate what fine-tuning takes in all; None where the file has none."""
        return expected_finetuning(self.plan)

    @property
    def known(self) -> dict[str, str]:
        """Map the runs that the store has already to their status."""
        return {run_id: state for run_id, state in self.states.items() if state != "new"}

    @property
    def expected_runs(self) -> int:
        """Count the runs that it takes: those that are listed, and those that its searches are expected to ask for."""
        return len(self.plan.runs) + sum(search.expected_runs for search in self.plan.searches)

    @property
    def ahead_core_hours(self) -> float:
        """Estimate the core-hours that are still to be spent."""
        runs = (run for run in self.plan.runs if self.states.get(run.id) not in DONE)
        over = {state.cell.pretrained for state in self.searched if state.is_over}
        searches = (search.estimated_core_hours for search in self.plan.searches if search.key not in over)
        ahead = sum(run.estimated_core_hours - run.inherited_core_hours for run in runs) + sum(searches)
        return ahead + self._ahead_in_finetuning

    @property
    def _ahead_in_finetuning(self) -> float:
        """Estimate the core-hours of fine-tuning that are still to be spent: once pre-training is over, of the runs that are known."""
        if (tuned := self.finetuning) is None or not tuned.runs:
            return 0.0
        done = sum(state in DONE for state in self.finetuned.values())
        is_known = bool(self.finetuned) and self._is_pretrained and all(state.is_over for state in self.searched)
        ahead = len(self.finetuned) - done if is_known else max(0, tuned.runs - done)
        return tuned.core_hours / tuned.runs * ahead

    @property
    def _is_pretrained(self) -> bool:
        return all(self.states.get(run.id) in DONE for run in self.plan.runs) and len(self.searched) == len(self.plan.searches)

    def cost(self, core_hours: float, tuning: float = 0.0) -> float | None:
        """Return what so many core-hours cost on the file's accelerator, and `tuning` on that of fine-tuning; None where the file has no price for it."""
        spec, tuned = self.plan.spec, self.plan.finetuning
        hours = [(spec, core_hours)] + ([(tuned.spec, tuning)] if tuned and tuning else [])
        costs = [spec.prices.cost(of.resources.accelerator, some) if spec.prices else None for of, some in hours]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def notes(self) -> list[str]:
        """Say what its data are, and of each card of the file that its own price does not count, where `price:` has another."""
        spec, prices = self.plan.spec, self.plan.spec.prices
        of_prices = [
            f"{card.name} costs {prices.an_hour[card.name]:g} {spec.currency} a chip-hour by `price`, which counts before the {card.price:g} of its card"
            for card in spec.accelerators
            if prices is not None and card.price is not None and card.price != prices.an_hour[card.name]
        ]
        return [*data_notes(self.plan), *of_prices]

    @property
    def passes_confirm_above(self) -> str:
        """Say by how much what is ahead passes the file's `confirm_above`; empty where it does not."""
        limit, ahead = self.plan.spec.confirm_above, self.ahead_core_hours
        if limit is None:
            return ""
        if limit.core_hours is not None and ahead > limit.core_hours:
            return f"{amount(ahead)} core-hours, above confirm_above ({limit.core_hours:g})"
        tuning = self._ahead_in_finetuning
        cost, currency = self.cost(ahead - tuning, tuning), self.plan.spec.currency
        if limit.in_money is not None and cost is not None and cost > limit.in_money:
            return f"{money(cost, currency)}, above confirm_above ({limit.in_money:g} {currency})"
        return ""

    @property
    def cells(self) -> list[dict[str, Any]]:
        """List the cells, a row each. FLOPs, core-hours, cost and wall time are those of one of its `runs` runs.

        Of a cell whose learning rates are found on the way, `policy` says how, and `runs` is how many it is expected to take.
        """
        cells: dict[tuple[str, str, float], list[PlannedRun]] = {}
        for run in self.plan.runs:
            cells.setdefault((run.config.model.family, run.config.model.name, run.config.schedule.epochs), []).append(run)
        listed = [
            _row(
                runs[0],
                rates={run.config.learning_rate for run in runs},
                seeds=len({run.config.seed for run in runs}),
                runs=len(runs),
                state=self._state(runs),
            )
            for runs in cells.values()
        ]
        states = {state.cell.pretrained: state for state in self.searched}
        listed += [_search_row(search, states.get(search.key)) for search in self.plan.searches]
        return [row | {"estimated_cost": self.cost(row["estimated_core_hours"])} for row in listed]

    def to_dict(self) -> dict[str, Any]:
        """Return what `submit --dry-run --json` prints."""
        resources = self.plan.spec.resources
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.plan.spec.name,
            "dataset": self.plan.card.to_dict(),
            "resources": resources.model_dump() | {"chips": resources.chip_count, "cores": self.plan.spec.core_count},
            "cells": self.cells,
            "counted_models": self.plan.counted_models,
            "known_runs": self.known,
            "looked_at": [asdict(split) for split in self.looked],
            "remarks": list(self.remarks),
            "runs": self.expected_runs,
            "estimated_core_hours": self.plan.estimated_core_hours,
            "estimated_cost": self.cost(self.plan.estimated_core_hours),
            "currency": self.plan.spec.currency if self.plan.spec.prices else None,
            "runs_estimated_by_measurement": self.measured,
            "inherited_core_hours": self.plan.inherited_core_hours,
            "notes": self.notes,
            "finetuning": self._finetuning_payload(),
        }

    def _finetuning_payload(self) -> dict[str, Any] | None:
        """Return what fine-tuning is expected to take; its `cells` are a row a model."""
        tuned, plan = self.finetuning, self.plan.finetuning
        if tuned is None or plan is None or self.plan.spec.finetune is None:
            return None
        resources = plan.spec.resources
        return {
            "dataset": plan.card.to_dict(),
            "resources": resources.model_dump() | {"chips": resources.chip_count, "cores": plan.spec.core_count},
            "from": self.plan.spec.finetune.chosen.model_dump(mode="json", exclude_none=True),
            "cells": replace(self, plan=plan, states={}, searched=()).cells,
            "pretrained_cells": tuned.cells,
            "runs": tuned.runs,
            "estimated_core_hours": tuned.core_hours,
            "estimated_cost": self.cost(0.0, tuned.core_hours),
            "known_runs": dict(self.finetuned),
        }

    def _state(self, runs: Sequence[PlannedRun]) -> str:
        counts = Counter(self.states[run.id] for run in runs if run.id in self.states)
        return ", ".join(state if count == len(runs) else f"{count} {state}" for state, count in counts.items())


def _row(
    run: PlannedRun, *, rates: set[float], seeds: int, runs: int, state: str, policy: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "family": run.config.model.family,
        "model": run.config.model.name,
        "epochs": run.config.schedule.epochs,
        "params": run.params,
        "steps": run.steps,
        "examples_seen": run.examples_seen,
        "learning_rates": sorted(rates),
        "policy": policy,
        "seeds": seeds,
        "runs": runs,
        "train_flops": run.train_flops,
        "estimated_core_hours": run.estimated_core_hours,
        "inherited_core_hours": run.inherited_core_hours,
        "estimated_wall_seconds": run.estimated_seconds,
        "state": state,
    }


def _search_row(search: PlannedSearch, found: CellState | None) -> dict[str, Any]:
    return _row(
        search.run,
        rates={row["learning_rate"] for row in found.runs} if found else set(),
        seeds=len(search.policy.seeds),
        runs=search.expected_runs,
        state=_search_state(found),
        policy=search.policy.to_dict(),
    )


def _search_state(state: CellState | None) -> str:
    if state is None:
        return ""
    if state.learning_rate is not None:
        return f"found: {state.found}"
    done = sum(result is not None for _, result in state.trials.values())
    return f"{done} of {len(state.trials)} trials done" if done else "new" if state.state != "given-up" else "given up"


def price(plan: Plan, rates: Rates) -> Priced:
    """Estimate the core-hours of each run by measured rates.

    They are those of finished runs of its shape, else of a probe of it, else of finished runs of the family, else what the file states.
    """
    runs = tuple(_measured(run, plan, rates) for run in plan.runs)
    searches = tuple(replace(search, run=_measured(search.run, plan, rates)) for search in plan.searches)
    if plan.finetuning is not None:
        plan = replace(plan, finetuning=price(plan.finetuning, rates).plan)
    count = sum(new is not old for new, old in zip(runs, plan.runs, strict=True))
    count += sum(new.expected_runs for new, old in zip(searches, plan.searches, strict=True) if new.run is not old.run)
    return Priced(replace(plan, runs=runs, searches=searches), count)


def rates_of(url: str) -> Rates:
    """Read the rates that the store at `url` has measured; none where there is no store that this version can read: a plan needs none."""
    with suppress(StoreError), open_readonly(url) as store, store.read() as session:
        return measured_rates(session)
    return Rates()


def rates_in(runs: pd.DataFrame) -> Rates:
    """Sum up the rates of a table's finished runs, by family and kind of accelerator.

    It needs the columns `status`, `family`, `accelerator`, `train_flops` and `core_hours`; without them there are no rates.
    """
    if not {"status", "family", "accelerator", "train_flops", "core_hours"} <= set(runs):
        return Rates()
    done = runs[(runs["status"] == RunStatus.FINISHED) & (runs["core_hours"] > 0) & (runs["train_flops"] > 0)]
    rows = done[["family", "accelerator", "core_hours", "train_flops"]].dropna().itertuples(index=False, name=None)
    return Rates.of((None, *row) for row in rows)


def _measured(run: PlannedRun, plan: Plan, rates: Rates) -> PlannedRun:
    measured = rates.nearest(run.shape, run.config.model.family, plan.resources)
    hours = estimate_core_hours(run.train_flops or run.config.schedule.epochs, *measured)
    return run if hours is None else replace(run, estimated_core_hours=hours)
