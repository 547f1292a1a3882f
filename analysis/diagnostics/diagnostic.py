"""The codes of what can be wrong with a fit, each with its advice."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.outcomes import NO_BETTER_THAN_GUESSING, Advised

__all__ = ["Diagnostic", "DiagnosticCode"]


class DiagnosticCode(Advised):
    """Names what can be wrong with a fit or with the runs behind it."""

    TOO_FEW_SIZES = (
        "too-few-sizes",
        "Add models of other sizes: a law across sizes cannot be told from the curve of one or two models.",
    )
    FAMILIES_POOLED = (
        "families-pooled",
        "One law for all of them is of no one family: take one (--where family=NAME), unless the best of any family is meant.",
    )
    REHEARSED = (
        "rehearsed",
        "Read nothing into the numbers: nothing was trained, the losses follow the surface that the file states.",
    )
    CELLS_MIXED = (
        "cells-mixed",
        "These runs are no seeds of one setting: keep them apart (--cell COLUMN), or choose one value (--where COLUMN=VALUE).",
    )
    CHANCE_LEVEL = (
        "chance-level",
        "These runs learnt nothing yet, so they say little of what compute buys: leave them out, or train them longer or at another rate.",
    )
    NO_BETTER_THAN_GUESSING = (
        NO_BETTER_THAN_GUESSING,
        "These runs learnt nothing: look at their learning rate and at how the model starts, then leave them out (`scaling exclude`), or train them longer.",
    )
    PACKED_MIXED = (
        "packed-mixed",
        "Core-hours of a packed run are its share of the devices, which is less or more than it would have taken alone: pack all runs of a model, or none.",
    )
    FEW_CELLS = (
        "few-cells",
        "Add budgets, or fit a law with fewer coefficients: with so few cells the scatter itself is hardly known.",
    )
    COLLINEAR_DESIGN = (
        "collinear-design",
        "Vary the inputs apart (small models for long, large ones briefly): these runs cannot say which of them lowered the metric.",
    )
    EXPONENT_NOT_IDENTIFIED = (
        "exponent-not-identified",
        "Do not build on this exponent: widen the range of its input, or fit a law without it.",
    )
    FLOOR_NOT_IDENTIFIED = (
        "floor-not-identified",
        "Do not build on this floor: laws with and without it fit these runs alike and differ beyond them; add runs at larger compute.",
    )
    FLOOR_NOT_CONSIDERED = (
        "floor-not-considered",
        "Add budgets: the loss may stop falling beyond these runs, so beyond them the interval reaches up to the loss of the largest run.",
    )
    OPTIMUM_NOT_INTERIOR = (
        "optimum-not-interior",
        "Try values beyond that edge: the best may lie outside, and then these losses are not the best that their compute can buy.",
    )
    RESIDUAL_TREND = (
        "residual-trend",
        "The law bends otherwise than the runs do: try law auto or one with another shape before you extrapolate.",
    )
    HETEROSCEDASTIC = (
        "heteroscedastic",
        "The scatter is not alike everywhere: prefer intervals by the pairs bootstrap, and repeat seeds where the scatter is large.",
    )
    OUTLIER = (
        "outlier",
        "Look at these runs (learning rate, divergence, data); they are kept. Objective huber-log bounds their pull.",
    )
    INFLUENTIAL_RUN = (
        "influential-run",
        "The forecast depends on this cell: repeat it with another seed before you act on the forecast.",
    )
    LAW_AND_FORECAST_APART = (
        "law-and-forecast-apart",
        "Take numbers beyond the runs from the forecast (`scaling predict`), not from the coefficients.",
    )
    LAWS_DISAGREE = (
        "laws-disagree",
        "Run something near the target first: until the laws and the recent runs agree there, a plan narrows what may be the wrong one.",
    )
    FAR_EXTRAPOLATION = (
        "far-extrapolation",
        "Nothing in these runs tests a forecast that far: train something between, or treat the interval as a lower bound of the doubt.",
    )


@dataclass(frozen=True)
class Diagnostic:
    """Holds one finding about a fit.

    message: what was seen, with numbers. about: ids of runs, letters of coefficients or names of columns, most telling first.
    """

    code: DiagnosticCode
    message: str
    about: tuple[str, ...] = ()

    @property
    def advice(self) -> str:
        return self.code.advice

    def __str__(self) -> str:
        return f"{self.code.value}: {self.message}. {self.advice}"

    def to_dict(self) -> dict[str, object]:
        return {"code": self.code.value, "message": self.message, "advice": self.advice, "about": list(self.about)}
