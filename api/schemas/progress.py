"""How far the runs are: the fields are those of `orchestrator.store.progress.Progress`, and what it computes of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import create_model

from api.schemas.part import Answer, Part
from orchestrator.store.progress import AtWork, Progress

__all__ = ["ProgressAnswer", "RunAtWork"]


def _fields_of(kind: type, **changed: Any) -> dict[str, Any]:
    hints = get_type_hints(kind) | changed
    return {each.name: (hints[each.name], ...) for each in fields(kind)}


RunAtWork: Any = create_model(
    "RunAtWork",
    __base__=Part,
    __doc__="Shows a run in training: how far it is, and what it logged last. `steps` is 0 until they are known.",
    **_fields_of(AtWork),
)


class _Computed(Answer):
    examples_per_second: float | None
    mfu: float | None
    pace: str
    sentence: str
    total: int
    over: int


ProgressAnswer: Any = create_model(
    "ProgressAnswer",
    __base__=_Computed,
    __doc__="Sums up the progress of an experiment, or of the whole store where `experiment` is null.",
    **_fields_of(Progress, running=list[RunAtWork]),
)
