"""`early_stop: {confidence: 0.99, after: 0.5}`: stops runs that cannot reach the frontier any more, by what the store holds.

The rule is `analysis.early_stop`; here its input is read from the store. A run that is to be stopped is stopped as a user would do it: by
an intent with the numbers as its reason, so that a scheduler that dies in between leaves it to the next one. It keeps its last
checkpoint; `scaling retry` lets it go on, and it is not judged again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.resources import EarlyStop
from orchestrator.store import Session, steering
from orchestrator.store.estimates import measured_rates
from orchestrator.store.models import Run
from orchestrator.store.steering import Steer
from orchestrator.store.stopping import finished_peers, held_out_losses, runs_with_a_rule, spared
from scaling.accelerators import estimate_core_hours

__all__ = ["stop_dominated"]


def stop_dominated(session: Session) -> bool:
    """Ask for the end of every run in training that its file lets stop early and that is dominated. A `Rule` of the scheduler."""
    judged = runs_with_a_rule(session)
    if not judged:
        return False
    not_asked, asked = spared(session, judged), False
    for run_id, rule in judged.items():
        if run_id not in not_asked and (reason := _verdict(session, run_id, rule)) is not None:
            steering.ask(session, Steer.STOP, runs=[run_id], reason=reason)
            asked = True
    return asked


def _verdict(session: Session, run_id: str, rule: EarlyStop) -> str | None:
    """Return the reason why the run is to be stopped, by its newest evaluation; None when it is not."""
    import pandas as pd

    from analysis.early_stop import outlook

    run = session.get(Run, run_id)
    assert run is not None
    looks = [share for share in run.options.evaluate_at if share >= rule.after]
    ends = dict(zip(looks, [*looks[1:], 1.0], strict=True))
    taken = held_out_losses(session, [run_id]).get(run_id, [])
    losses = {share: loss for share, end in ends.items() if (loss := _loss_at(taken, run.steps, share, end)) is not None}
    if not losses:
        return None
    share, loss = list(losses.items())[-1]
    peers = finished_peers(session, run)
    then = held_out_losses(session, [peer.id for peer in peers])
    finished = pd.DataFrame(
        [
            (peer.id, _loss_at(then.get(peer.id, []), peer.steps, share, ends[share]), peer.val_loss, peer.core_hours)
            for peer in peers
        ],
        columns=["id", "loss_then", "val_loss", "core_hours"],
    ).astype({"loss_then": float, "val_loss": float, "core_hours": float})
    found = outlook(
        loss,
        _core_hours_at_its_end(session, run),
        finished,
        confidence=rule.confidence,
        looks=len(looks),
    )
    if found is None or not found.is_dominated:
        return None
    return f"stopped after {share:.0%} of its steps: {found.sentence}"


def _loss_at(taken: Sequence[tuple[int, float]], steps: int, share: float, end: float) -> float | None:
    """Return the loss of the first evaluation after this share of the steps and before the share `end`; None where there is none.

    Our own trainer evaluates right after the share (`trainer.train`), a program of the user's when it likes.
    """
    return next((loss for step, loss in taken if math.ceil(share * steps) <= step < max(1, end * steps)), None)


def _core_hours_at_its_end(session: Session, run: Run) -> float:
    """Return the lower of two estimates of the run's core-hours: the one it was started with, and one by the rates measured so far.

    The lower one is taken so that no run is judged more expensive than it is.
    """
    now = estimate_core_hours(run.train_flops or run.epochs, *measured_rates(session).nearest(run.shape, run.family, run.resources))
    return min(cost for cost in (now, run.estimated_core_hours, math.inf) if cost is not None)
