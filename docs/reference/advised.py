"""A kind of status, outcome or diagnostic: each value with its advice."""

from __future__ import annotations

from analysis.diagnostics import DiagnosticCode
from docs.reference.markdown import code, table
from scaling.outcomes import Advised, AttemptOutcome, FitStatus, OptimumStatus, RunStatus

__all__ = ["text"]

_KINDS: dict[str, tuple[type[Advised], str]] = {
    "run": (RunStatus, "status"),
    "attempt": (AttemptOutcome, "outcome"),
    "fit": (FitStatus, "status"),
    "optimum": (OptimumStatus, "status"),
    "diagnostic": (DiagnosticCode, "code"),
}


def text(name: str) -> str:
    """Return the table of `run`, `attempt`, `fit`, `optimum` or `diagnostic`."""
    kind, head = _KINDS[name]
    return table((head, "what to do" if name == "diagnostic" else "meaning"), ((code(each.value), each.advice) for each in kind))
