"""Registered predictions against the runs that were done since."""

from __future__ import annotations

from api.schemas.part import Answer, Open, Part, Uncertain

__all__ = ["PredictionsAnswer"]


class Score(Open):
    """Holds a prediction and what was seen; further columns name the place and the cell."""

    name: str
    observed: float | None
    hit: bool
    predicted: Uncertain


class Waiting(Part):
    """Says why a prediction has no run to compare with yet."""

    name: str
    at: dict[str, float]
    reason: str


class PredictionsAnswer(Answer):
    """Answers how many predictions came true."""

    sentence: str
    hits: int
    scored: int
    scores: list[Score]
    waiting: list[Waiting]
