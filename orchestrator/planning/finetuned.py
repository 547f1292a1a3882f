"""The fine-tuning of a plan: what the store has to know of it, and what it is expected to take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from orchestrator.planning.plan import Plan, PlannedRun, PlannedSearch, template_of
from orchestrator.store.finetunings import expected_cells

__all__ = ["ExpectedFinetuning", "expected_finetuning", "finetuning_rows"]

_OF_A_PARENT = ("seed", "parent_id", "parent_step")


@dataclass(frozen=True)
class ExpectedFinetuning:
    """Estimates what fine-tuning takes. cells: how many pre-trained cells are fine-tuned. runs, core_hours: of all of them."""

    cells: int
    runs: int
    core_hours: float


def finetuning_rows(plan: Plan) -> list[dict[str, Any]]:
    """List how each model is fine-tuned, as `orchestrator.store.finetunings.link` takes it; nothing where the file does not say."""
    if plan.finetuning is None or plan.spec.finetune is None:
        return []
    chosen, tuned = plan.spec.finetune.chosen.model_dump(mode="json"), plan.finetuning
    rows = []
    for run, rates, search in _of_models(tuned):
        template = template_of(run.row(tuned.resources, tuned.options))
        rows.append(
            {
                "family": run.config.model.family,
                "model": run.config.model.name,
                "chosen": chosen,
                "template": {name: value for name, value in template.items() if name not in _OF_A_PARENT},
                "rates": rates,
                "policy": None if search is None else search.policy.to_dict(),
            }
        )
    return rows


def expected_finetuning(plan: Plan) -> ExpectedFinetuning | None:
    """Estimate what the fine-tuning of a plan takes; None where there is none.

    Which cells are fine-tuned is only known once pre-training is over. Until then a model of a family is as likely as any other.
    """
    if plan.finetuning is None or plan.spec.finetune is None:
        return None
    rule = plan.spec.finetune.chosen.model_dump(mode="json")
    families: dict[str, list[tuple[int, float]]] = {}
    for run, rates, search in _of_models(plan.finetuning):
        runs = len(rates) * len(plan.spec.seeds) if search is None else search.expected_runs
        families.setdefault(run.config.model.family, []).append((runs, runs * run.estimated_core_hours))
    cells, expected, core_hours = 0, 0.0, 0.0
    for models in families.values():
        count = expected_cells(rule, models=len(models), budgets=len(plan.spec.epochs))
        cells += count
        expected += count * fmean(one for one, _ in models)
        core_hours += count * fmean(cost for _, cost in models)
    return ExpectedFinetuning(cells, round(expected), core_hours)


def _of_models(tuned: Plan) -> Iterator[tuple[PlannedRun, list[float], PlannedSearch | None]]:
    """Yield for each model one of its runs, its learning rates where they are listed, and else how they are searched for."""
    for search in tuned.searches:
        yield search.run, [], search
    of_model: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in tuned.runs:
        of_model.setdefault((run.config.model.family, run.config.model.name), []).append(run)
    for runs in of_model.values():
        yield runs[0], list(dict.fromkeys(run.config.learning_rate for run in runs)), None
