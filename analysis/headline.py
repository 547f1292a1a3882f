"""`headline`: the answer first, with what its best cells cost at most. The command, the pages, the report and the JSON begin with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.optimum.regret import PricedChoice, Regret
    from analysis.sentence import Answer

__all__ = ["headline"]


def headline(said: Answer, cost: Regret | None) -> str:
    """Write what a law says, the best model at the compute of the forecast, and what that choice and the best cell so far cost at most.

    >>> print(headline(scaling.answer(runs), scaling.regret(runs)))
    val_loss falls as core_hours^-0.41 (…). Ten times the compute, 0.13 core_hours, would give 0.081 (0.074 … 0.090). Best there: nano-F3
    at 32 epochs; choosing it costs at most 0.40 % of val_loss against the best size and epochs (95 %). Best so far: …

    Where that of the best cell so far is not known, it says why. Without sizes and epochs to choose among it is `said.sentence`.
    """
    sentences = list(said.sentences)
    if cost is None or not cost.choices or said.best is None:
        return " ".join(sentences)
    *before, so_far = sentences
    if cost.is_unknown:
        return " ".join([*before, f"{so_far.removesuffix('.')}; what choosing it costs is not known: {cost.choices[0].reason}."])
    ahead = None if said.forecast is None else cost.best_model_at(said.forecast.at)
    if ahead is not None and not ahead.reason:
        before.append(f"Best there: {cost.named(ahead)}; choosing it costs {cost.costs(ahead)}.")
    first = cost.choices[0]
    if _is_same(first, said.best):
        return " ".join([*before, f"{so_far.removesuffix('.')}; choosing it costs {cost.costs(first)}."])
    return " ".join([*before, so_far, cost.sentence()])


def _is_same(choice: PricedChoice, best: dict[str, Any]) -> bool:
    """Say whether a choice is the best cell: a table may have cells without the size or epochs that a choice needs."""
    epochs = best.get("epochs")
    return choice.model == best.get("model") and (epochs is None or abs(choice.data - epochs) < 1e-6 * choice.data)
