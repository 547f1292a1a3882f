"""A rehearsal of a training: its loss follows a stated surface, its steps take a stated time. No JAX, no data.

It keeps the contract of `trainer.train`: own folder, events, checkpoints, `should_stop`, resumption at the step of a checkpoint. So
schedulers, stores and pages can be rehearsed at the published scale, and tested and timed, with the real processes and a known truth.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

from scaling.errors import UsageError
from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome
from trainer.config import TrainConfig
from trainer.data.order import Order
from trainer.events import Checkpoint, CheckpointFailed, Compiled, Ended, Evaluated, Event, Progress, Started
from trainer.result import Seconds, TrainResult

__all__ = ["rehearse"]

_TICK_SECONDS = 0.05
_PROGRESS_POINTS = 50
_DIVERGES_AT = 0.02
"""Share of the run after which one with too high a learning rate diverges."""


def rehearse(
    config: TrainConfig,
    *,
    params: int,
    step_seconds: float,
    speed: float,
    directory: str | Path,
    resume_from: Mapping[str, Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: Callable[[Event], None] | None = None,
    evaluate_at: Sequence[float] = (),
    checkpoint_seconds: float = 60.0,
    checkpoint_at: Sequence[int] = (),
    pretrained: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Rehearse `config`: give events, checkpoints and result as `trainer.train` gives them, with times in rehearsed seconds.

    Args:
        params: of the model; together with the examples seen it fixes the loss.
        step_seconds: rehearsed seconds of one step.
        speed: rehearsed seconds that pass in a real one.
        checkpoint_seconds: rehearsed, but at least half a real second.
        directory, resume_from, should_stop, on_event, evaluate_at, checkpoint_at: as of `trainer.train`.
        pretrained: of a run with a parent, `params` and `examples_seen` of the run whose weights it would start from: its surface is that of
            the top-1 error after fine-tuning. Its other facts change nothing.

    Raises `UsageError` for a run with a parent of which nothing is said.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    emit, stop = on_event or (lambda event: None), should_stop or (lambda: False)
    surface = config.model.surface
    assert surface is not None
    order = Order(config.data.card.train_examples, config.schedule.epochs, config.batch_size, config.seed)
    card, steps, epochs, rate = config.data.card, order.steps, config.schedule.epochs, config.learning_rate
    diverges = rate > surface.diverges_above * surface.best_learning_rate(params, epochs)
    loss_after = _finetuned(config, pretrained) if config.parent is not None else _trained(config, params)
    last = max(1, math.ceil(_DIVERGES_AT * steps)) if diverges else steps

    def seen(step: int) -> int:
        return min(step * config.batch_size, order.total)

    emit(Compiled(seconds=0.0, shape=config.shape_id()))
    first, digest = _restore(resume_from)
    emit(Started(step=first, steps=steps, device="rehearsal"))

    step, saved, started = first, (first if resume_from else None), time.monotonic()
    checkpointed = reported = started
    interval, report = max(checkpoint_seconds / speed, 0.5), max(steps * step_seconds / speed / _PROGRESS_POINTS, 2 * _TICK_SECONDS)
    outcome, reason = AttemptOutcome.FINISHED, ""

    def checkpoint() -> None:
        """Commit a checkpoint. A refused one is told, unless it is the last: without that the run has not ended well."""
        nonlocal saved, checkpointed
        checkpointed = time.monotonic()
        seconds: dict[str, Any] = {"train_seconds": (step - first) * step_seconds, "checkpoint_seconds": 0.0}
        try:
            _save(directory, step, digest)
        except OSError as error:
            if step == steps:
                raise
            emit(CheckpointFailed(step=step, reason=str(error), **seconds))
            return
        saved = step
        emit(Checkpoint(step=step, digest=str(digest), **seconds))

    def progress() -> None:
        nonlocal reported
        reported = time.monotonic()
        emit(
            Progress(
                step=step,
                steps=steps,
                digest=str(digest),
                train_loss=loss_after(seen(step), 0.0),
                learning_rate=rate,
                examples_per_second=config.batch_size / step_seconds,
                train_seconds=(step - first) * step_seconds,
            )
        )

    def evaluate(loss: float) -> Evaluated:
        top1, examples = math.exp(-loss), config.data.card.validation_examples
        scores = Evaluated(
            step=step, split="validation", loss=loss, top1=top1, top5=1 - (1 - top1) ** 2, examples=examples, seconds=0.0
        )
        emit(scores)
        return scores

    looks = {math.ceil(share * steps) for share in evaluate_at}
    marks = sorted({*checkpoint_at, *looks})
    while step < last:
        if stop():
            checkpoint()
            outcome, reason = AttemptOutcome.INTERRUPTED, "asked to stop"
            break
        time.sleep(min(_TICK_SECONDS, (last - step) * step_seconds / speed))
        due = next((mark for mark in marks if mark > step), last)
        reached_step = min(last, due, first + int((time.monotonic() - started) * speed / step_seconds))
        reached("step")
        if seen(reached_step) // card.train_examples > seen(step) // card.train_examples:
            reached("epoch")
        digest, step = _advanced(digest, step, reached_step), max(step, reached_step)
        now = time.monotonic()
        if now - reported > report:
            progress()
        if (now - checkpointed > interval or step in checkpoint_at) and saved != step < last:
            checkpoint()
        if step == due < last and step in looks:
            evaluate(loss_after(seen(step), _noise(config)))
    if outcome is AttemptOutcome.FINISHED:
        progress()
        if diverges:
            outcome, reason = AttemptOutcome.DIVERGED, f"the training loss is inf at step {step} of {steps}"
        else:
            checkpoint()

    result = TrainResult(
        outcome=outcome,
        reason=reason,
        first_step=first,
        last_step=step,
        checkpoint_step=saved,
        examples_seen=seen(step),
        seconds=Seconds(train=(step - first) * step_seconds),
        train_loss=loss_after(seen(step), 0.0),
    )
    if outcome is AttemptOutcome.FINISHED:
        loss = loss_after(order.total, _noise(config))
        scores = evaluate(loss)
        result = replace(result, val_loss=loss, val_top1=scores.top1, val_top5=scores.top5)
    (directory / "result.json").write_text(json.dumps(result.to_dict() | {"digest": digest}, indent=1))
    reached("result-written")
    emit(Ended(step=step, digest=str(digest), result=result))
    return result


def _trained(config: TrainConfig, params: int) -> Callable[[int, float], float]:
    """Return the loss in nats after so many examples, with noise in standard deviations."""
    surface = config.model.surface
    assert surface is not None
    return lambda seen, z: surface.loss(params, seen, config.schedule.epochs, config.learning_rate, z)


def _finetuned(config: TrainConfig, pretrained: Mapping[str, Any] | None) -> Callable[[int, float], float]:
    """Return the same of a fine-tuning: −ln(top-1), so that `exp(−loss)` is one minus the error that the surface states, at most chance's.

    ASSUMPTION: top-1 grows with the root of the share of the steps, so that looks on the way see a curve.
    """
    surface, epochs, card = config.model.surface, config.schedule.epochs, config.data.card
    assert surface is not None
    if pretrained is None:
        raise UsageError(
            "a rehearsal of a fine-tuning needs to know its parent", hint="pretrained={'params': …, 'examples_seen': …}"
        )
    params, examples = pretrained["params"], pretrained["examples_seen"]
    chance, total = 1 / card.num_classes, round(epochs * card.train_examples)

    def loss(seen: int, z: float) -> float:
        top1 = 1 - surface.loss(params, examples, epochs, config.learning_rate, z)
        return -math.log(max(top1 * math.sqrt(seen / total), chance))

    return loss


def _noise(config: TrainConfig) -> float:
    """Draw a standard normal number, always the same for a run."""
    drawn = int.from_bytes(hashlib.sha256(config.run_id().encode()).digest()[:8], "little")
    return NormalDist().inv_cdf((drawn + 0.5) / 2**64)


def _advanced(digest: int, step: int, reached: int) -> int:
    """Return the digest after steps `step` … `reached` − 1: a sum of squares modulo 2⁶⁴, which a step left out or done twice changes."""
    below = lambda n: (n - 1) * n * (2 * n - 1) // 6  # noqa: E731 - Σ k² for k < n
    return (digest + below(max(step, reached)) - below(step)) % 2**64


def _save(directory: Path, step: int, digest: int) -> None:
    """Write a checkpoint that is whole or not there, whenever the process is killed.

    It is not synced: a rehearsal need not survive a power cut.
    """
    root = directory / "checkpoints"
    root.mkdir(exist_ok=True)
    draft = root / f".{step}.draft"
    content = {"step": step, "digest": digest}
    draft.write_text(json.dumps(content | {"sha256": _hash(content)}))
    reached("checkpoint-drafted")
    draft.replace(root / f"{step}.json")
    reached("checkpoint-committed")


def _hash(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _restore(resume_from: Mapping[str, Any] | None) -> tuple[int, int]:
    """Return step and digest of the newest readable checkpoint not past the one named; zeros when there is none."""
    if resume_from is None:
        return 0, 0
    root, at_most = Path(resume_from["directory"]) / "checkpoints", resume_from.get("step")
    found = sorted((int(path.stem) for path in root.glob("*.json")), reverse=True) if root.is_dir() else []
    for step in found:
        if at_most is not None and step > at_most:
            continue
        try:
            content = json.loads((root / f"{step}.json").read_text())
            if content.pop("sha256") == _hash(content):
                return content["step"], content["digest"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue
    return 0, 0
