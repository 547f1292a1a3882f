"""The result of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from scaling.outcomes import AttemptOutcome

__all__ = ["Seconds", "TrainResult"]


@dataclass(frozen=True)
class Seconds:
    """Says where an attempt's time went.

    startup: reading data, compiling, restoring. train: the loop itself. The law's x counts `train` of steps that survive.
    """

    startup: float = 0.0
    train: float = 0.0
    evaluation: float = 0.0
    checkpoint: float = 0.0


@dataclass(frozen=True)
class TrainResult:
    """Says how an attempt ended, and what the run has come to.

    outcome: FINISHED, DIVERGED or INTERRUPTED; anything else is an exception or a dead process.
    first_step, last_step: this attempt took steps first_step … last_step − 1.
    checkpoint_step: step of the newest committed checkpoint: its own, or the one it started from; None when there is none.
    examples_seen: positions consumed since the start of the run.
    train_loss: of the last step that was logged, in this attempt or an earlier one.
    val_loss: nats, plain cross-entropy on the held-out split at the last step; None unless finished.
    chance_loss: nats, the loss of guessing by the frequencies of the held-out labels; None likewise.
    useful_seconds: of training, over all attempts, each surviving step once.
    scores: what else is known of the finished run, by name: `val_loss_standard_error`, by the spread of the held-out examples' losses; of a
        user's program, what it reported.
    """

    outcome: AttemptOutcome
    reason: str
    first_step: int
    last_step: int
    checkpoint_step: int | None
    examples_seen: int
    seconds: Seconds
    train_loss: float | None = None
    val_loss: float | None = None
    val_top1: float | None = None
    val_top5: float | None = None
    useful_seconds: float | None = None
    chance_loss: float | None = None
    scores: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = asdict(self) | {"outcome": str(self.outcome)}
        if self.scores is None:
            del plain["scores"]
        return plain

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainResult:
        """Read what `to_dict` wrote; other keys are passed over."""
        known = {each.name: content[each.name] for each in fields(cls) if each.name in content}
        return cls(**{**known, "outcome": AttemptOutcome(content["outcome"]), "seconds": Seconds(**content["seconds"])})
