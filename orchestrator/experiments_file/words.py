"""Words that the faults of an experiments file have in common."""

from __future__ import annotations

from typing import Any

from orchestrator.experiments_file.document import Document
from scaling.errors import Fault, nearest

__all__ = ["SHOWN", "listed", "shown", "unknown"]

SHOWN = 60
"""Characters of a value in a message."""


def unknown(document: Document, place: tuple[str | int, ...], kind: str, name: str, known: Any, *, hint: str = "") -> Fault:
    told = hint or f"known: {listed(known)}"
    return document.fault(place, f"unknown {kind} {shown(name)}{nearest(name[:SHOWN], known)} ({told})")


def listed(values: Any) -> str:
    values = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(values[:12]) + (", …" if len(values) > 12 else "")


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}…"
