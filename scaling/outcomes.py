"""How a run, an attempt or a fit can end: values with a sentence of advice, not exceptions."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["NARROWLY", "NO_BETTER_THAN_GUESSING", "Advised", "AttemptOutcome", "FitStatus", "OptimumStatus", "RunStatus"]

NO_BETTER_THAN_GUESSING = "no-better-than-guessing"
"""The code of a run whose val_loss is not below that of guessing: its `reason` begins with it, and a diagnostic has it."""


class Advised(StrEnum):
    """Gives each member of a string enum `advice`, a sentence that a user can act on."""

    advice: str

    def __new__(cls, value: str, advice: str = ""):
        member = str.__new__(cls, value)
        member._value_ = value
        member.advice = advice
        return member


class RunStatus(Advised):
    """Names the status of a run. The last five are final: a run reaches exactly one of them."""

    PENDING = "pending", "Waits for a device; `scaling submit` goes on with it."
    RUNNING = "running", "An attempt is training it now."
    PAUSED = "paused", "Held back on request; its last checkpoint is kept."
    FINISHED = "finished", "Trained to its last step and evaluated."
    STOPPED = "stopped", "Ended early on request or by a rule in the file; kept visible, left out of fits."
    DIVERGED = "diverged", "The loss became NaN or infinite; lower the learning rate."
    FAILED = "failed", "The training code raised or its process died too often; read the reason, mend it, submit again."
    CANCELLED = "cancelled", "Taken out of the grid on request."

    @property
    def is_final(self) -> bool:
        return self not in (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED)


class AttemptOutcome(Advised):
    """Names how one stay of a run on hardware ended."""

    FINISHED = "finished", "Reached the last step."
    DIVERGED = "diverged", "The loss became NaN or infinite; lower the learning rate. Not retried."
    INTERRUPTED = "interrupted", "Asked to stop; it checkpointed first and goes on from there."
    PREEMPTED = "preempted", "The machine was taken away; goes on from the last checkpoint, not charged as a failure."
    RAISED = "raised", "The training code raised an exception; the same input would raise again, so it is not retried."
    DIED = "died", "The trainer process ended without a word (killed, crashed); retried from the last checkpoint."
    OUT_OF_MEMORY = "out-of-memory", "The device or the host ran out of memory; use a smaller batch or a larger device."
    STORAGE = (
        "storage",
        "The disk of the runs refused to write (full or failing): make room; it is tried again, not charged as a failure.",
    )
    LOST = "lost", "Its worker or node went away; retried from the last checkpoint."
    ORPHANED = "orphaned", "Its scheduler ended before it did; goes on from the last checkpoint, not charged as a failure."
    CANCELLED = "cancelled", "Stopped on request."


class OptimumStatus(Advised):
    """Names what the runs allow to say about the compute-optimal size and epochs, by one approach."""

    OK = "ok", "The optimum lies inside what was tried."
    NOT_INTERIOR = (
        "optimum-not-interior",
        "The best size or epoch budget is the smallest or largest that was tried: try beyond it before trusting an optimum.",
    )
    TOO_FEW_POINTS = "too-few-points", "There are too few cells for this approach; add sizes and epoch budgets to the file."
    NOT_APPLICABLE = "not-applicable", "The table lacks a column that this approach needs."
    NO_NOISE_ESTIMATE = (
        "no-noise-estimate",
        "One run a cell and too few cells tell nothing about noise, so there is no interval; run more seeds.",
    )
    NOT_IDENTIFIED = (
        "not-identified",
        "An interval has no end, or an exponent's holds 0 or is wider than 1, or a coefficient that the optimum hangs on is not determined by these "
        "runs: add sizes and epoch budgets.",
    )
    LACK_OF_FIT = (
        "lack-of-fit",
        "The surface bends otherwise than the runs do (residual-trend), so its interval may miss by more than it says: look at the others.",
    )
    BENT = (
        "bent",
        "The best size is no power of compute: its exponent changes from budget to budget, and the one shown is a mean over those tried. Do not "
        "carry it beyond them; what is counted as size or compute (embeddings?) may be the reason.",
    )
    APPROACHES_DISAGREE = (
        "approaches-disagree",
        "The approaches answer otherwise from the same runs, beyond their intervals: build on none of them before more budgets decide.",
    )


NARROWLY = (
    "at 99.999 % (for 95 %) an interval reaches zero or has no end. Where only some tables of a kind are identified, those have intervals that hold the "
    "truth in 74 to 91 of 100 cases: more seeds or budgets settle it."
)
"""What is added to the advice of `FitStatus.OK` where the status lies near its edge."""


class FitStatus(Advised):
    """Names what the data allowed a fit to say."""

    OK = "ok", "All coefficients are identified by these runs."
    BARELY_IDENTIFIED = (
        "barely-identified",
        (
            "At a stricter level (99.9 % for 95 %) an interval reaches zero or has no end. Intervals of such fits hold the truth less often than "
            "they say (in simulations without a visible floor in two of three): add seeds or budgets before you build on it."
        ),
    )
    NO_FLOOR = (
        "no-floor",
        ("The best floor is zero: these runs do not show where the loss stops falling, so the law is a plain power law here."),
    )
    FLOOR_NOT_IDENTIFIED = (
        "floor-not-identified",
        ("The interval of the floor E reaches zero: a plain power law explains these runs as well; do not extrapolate on E."),
    )
    EXPONENT_NOT_IDENTIFIED = (
        "exponent-not-identified",
        ("The interval of the exponent includes zero or has no end: the runs span too little, or the loss does not depend on it."),
    )
    TERM_VANISHES = (
        "term-vanishes",
        ("The best law has no such term: these runs do not fall with that input; vary it more, or fit a law without it."),
    )
    AT_BOUND = (
        "at-bound",
        ("A coefficient stopped at the edge of what these runs can show, so a law without it serves as well; prefer that one."),
    )
    NOT_IDENTIFIED = (
        "not-identified",
        ("The interval of a coefficient has no end: predictions among these runs hold, but do not build on that coefficient."),
    )
    RISES = "rises", "The metric rises with x: are these runs comparable? Check units, data sets and what was mixed."
    NOT_CONVERGED = "not-converged", "The optimiser stopped before it converged; treat the coefficients as a guess."
