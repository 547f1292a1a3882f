"""What a plan says of its data: what is left out of training, and whether runs are fine-tuned on what they may have seen."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.planning.plan import Plan
from trainer.data.kept import EXCLUDE, left_out, list_of, uncut

__all__ = ["data_notes"]


def data_notes(plan: Plan) -> Iterator[str]:
    """Yield a sentence for each list of images to leave out, and one where runs are fine-tuned on their own data or on unchecked ones.

    Unchecked is what no list of the pre-training set says that it was compared with. Raises as `trainer.data.kept.list_of`.
    """
    if _is_tuned_on_the_same(plan):
        yield f"runs are fine-tuned on {plan.card.name}, on which they were pre-trained"
    for of in (plan, plan.finetuning):
        path = None if of is None else of.spec.dataset.options.get(EXCLUDE)
        if of is None or path is None:
            continue
        card, count = of.card, left_out(of.card)
        yield (
            f"{count:,} of {card.train_examples + count:,} training images of {card.name} are left out, as {path} says"
            if count
            else f"{path} names no training image of {card.name}: nothing to leave out"
        )
    if (tuned := plan.finetuning) is not None and _is_unchecked(plan, tuned):
        yield (
            f"{tuned.card.name}, on which runs are fine-tuned, was never checked against {plan.card.name} for duplicates: "
            f"`scaling dedup {plan.document.path or 'FILE'}` looks for them and writes a list for `dataset: {{{EXCLUDE}: …}}`"
        )


def _is_tuned_on_the_same(plan: Plan) -> bool:
    """Say whether runs are fine-tuned on what they were pre-trained on, whatever is left out of either."""
    tuned, card = plan.finetuning, plan.card
    return tuned is not None and uncut(tuned.card) == uncut(card)


def _is_unchecked(plan: Plan, tuned: Plan) -> bool:
    if not plan.trains or not tuned.trains or _is_tuned_on_the_same(plan):
        return False
    listed = list_of(plan.spec.dataset.options)
    return listed is None or not listed.checked(uncut(plan.card), uncut(tuned.card))
