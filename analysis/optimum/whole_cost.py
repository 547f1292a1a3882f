"""The size that costs least in all: training, fine-tuning and serving together, at a wanted loss or within a budget.

    total(N, D) = C(N, D) + (finetune + share · serve) · C(N, D) / D,      L(N, D) = wanted loss

C is what training took (`analysis.optimum.cost`), so that C / D is what an example costs in a model of size N, in the unit of x: core-hours,
FLOPs or money. Training takes 6 FLOP a parameter and example, the forward pass alone 2 (Kaplan et al. 2020, arXiv 2001.08361, sec. 2.1), so that
`share` is 1/3. With it the problem is that of Sardana et al. 2024 (Beyond Chinchilla-Optimal, arXiv 2401.00448, eq. 2), who write it for
C = 6·N·D. Here C is measured, the losses are those of the weighed surfaces, and both have draws, which make the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.optimum.cells import GridCells
from analysis.optimum.path import about
from analysis.optimum.surface import law_inputs
from analysis.reading.prices import unit_of
from scaling.errors import UsageError
from scaling.rounding import percent, significant

__all__ = ["SERVE_SHARE", "Demand", "WholeCost", "whole_cost"]

SERVE_SHARE = 1 / 3
"""What serving an example costs, as a share of training on it: the forward pass alone, 2 of 6 FLOP a parameter."""

_SIZES, _AMOUNTS = 97, 145
_FINER = 6
"""Draws are read on a coarse grid, and the point estimates on one so many times as fine, onto which the draws are moved."""

_SIZES_BEYOND, _LESS, _MORE = np.log(300.0), np.log(300.0), np.log(3e4)
"""How far beyond the sizes, and the data, that were tried is looked. Much serving wants small models and much data."""


@dataclass(frozen=True)
class Demand:
    """Says what a model is for.

    serve: examples that it will be asked about, over its life. finetune: examples that it will be fine-tuned on, over all releases.
    target_loss: the metric to reach. budget: what training, fine-tuning and serving may take together, in the unit of x. At most one of the
    two; with neither, what compute-optimal training reaches at the largest compute of the runs.
    serve_share: what serving an example costs, as a share of training on it.
    """

    serve: float = 0.0
    finetune: float = 0.0
    target_loss: float | None = None
    budget: float | None = None
    serve_share: float = SERVE_SHARE

    def __post_init__(self) -> None:
        for name in ("serve", "finetune"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"--{name} {getattr(self, name):g} is no number of examples", hint=f"--{name} 2e12")
        for name in ("target_loss", "budget", "serve_share"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise UsageError(
                    f"--{name.replace('_', '-')} {value:g} is not a positive number", hint="leave it out for the default"
                )
        if self.target_loss is not None and self.budget is not None:
            raise UsageError(
                "--target-loss and --budget exclude each other", hint="either the loss is wanted, or what it may cost is given"
            )

    @property
    def is_asked(self) -> bool:
        """Say whether anything but training is to be counted, or a loss or a budget is given."""
        return bool(self.serve or self.finetune or self.target_loss is not None or self.budget is not None)

    @property
    def weight(self) -> float:
        """Return the examples of training that fine-tuning and serving cost as much as."""
        return self.finetune + self.serve_share * self.serve


@dataclass(frozen=True)
class WholeCost:
    """Holds the size that costs least in all, and beside it the one that is cheapest to train.

    demand: what it is for. metric, x, size_name: as in `Optimum`. loss: of the model; as wanted, or what the budget reaches.
    size, examples: of the cheapest model, and how much it is trained on. total: what it takes in all; its parts are shares of that:
    training, finetuning, serving.
    training_size, training_examples: of the model that reaches that loss with the least training, the compute-optimal one.
    over_training: data per parameter over that of the latter; 1 is compute-optimal.
    saved: the share of the latter's total that the cheapest model saves.
    epochs: how often the cheapest sees each example; NaN where the table does not say.
    identified: whether the intervals have ends. reason: why there is no answer; then all numbers are NaN.
    """

    demand: Demand
    metric: str
    x: str
    currency: str | None
    size_name: str
    level: float
    loss: Interval
    size: Interval
    examples: Interval
    total: Interval
    training: float
    finetuning: float
    serving: float
    training_size: Interval
    training_examples: Interval
    over_training: Interval
    saved: Interval
    epochs: float
    reason: str = ""

    @property
    def identified(self) -> bool:
        return not self.reason and all(each.bounded for each in (self.size, self.over_training))

    def sentence(self) -> str:
        """Write the answer in words."""
        if self.reason:
            return f"No size is named for {self._purpose()}: {self.reason}."
        parts = [f"{name} {percent(share)}" for name, share in self._parts() if share > 0]
        spent = f"{significant(self.total.value, 3)} {unit_of(self.x, self.currency)}"
        wanted = (
            f"At {self.metric} {significant(self.loss.value)}, {self._purpose()}, {self.size_name} {self._words(self.size)} trained on "
            f"{self._words(self.examples)} examples costs least in all: {spent} ({', '.join(parts)})"
            if self.demand.budget is None
            else f"Of {spent} in all ({', '.join(parts)}), {self._purpose()}, {self.size_name} {self._words(self.size)} trained on "
            f"{self._words(self.examples)} examples buys most: {self.metric} {self._words(self.loss)}. It costs"
        )
        saved = percent(self.saved.value)
        if not self.identified:
            return (
                f"{wanted}{',' if self.demand.budget is None else ''} {saved} less than the size that is cheapest to train, "
                f"{significant(self.training_size.value, 3)}. But these runs do not bound it: demand is too large for what they tell."
            )
        return (
            f"{wanted}{',' if self.demand.budget is None else ''} {saved} ({percent(self.saved.low)} … {percent(self.saved.high)}) less than the "
            f"size that is cheapest to train, {significant(self.training_size.value, 3)}. It sees {self.over_training.words()} times the data per "
            "parameter of compute-optimal training."
        )

    def assumption(self) -> str:
        """Say what an example is taken to cost."""
        return (
            f"an example served is taken to cost {significant(self.demand.serve_share, 3)} of one trained on (a forward pass is 2 of 6 FLOP a parameter), "
            "on the same accelerators at the same use; one of fine-tuning costs as much as one of training"
        )

    def _words(self, interval: Interval) -> str:
        return interval.words() if self.identified else significant(interval.value, 3)

    def _purpose(self) -> str:
        asked = [f"serving {self.demand.serve:g} examples"] if self.demand.serve else []
        asked += [f"fine-tuning on {self.demand.finetune:g}"] if self.demand.finetune else []
        return " and ".join(asked) or "training alone"

    def _parts(self) -> list[tuple[str, float]]:
        return [("training", self.training), ("fine-tuning", self.finetuning), ("serving", self.serving)]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON holds it; None for each number that is not known."""
        from analysis.numbers import finite

        intervals = {name: value.to_dict() for name, value in self.__dict__.items() if isinstance(value, Interval)}
        return {
            "sentence": self.sentence(),
            **self.demand.__dict__,
            **intervals,
            "unit": self.x,
            "shares": {name: finite(share) for name, share in self._parts()},
            "epochs": finite(self.epochs),
            "identified": self.identified,
            "reason": self.reason,
            "assumption": self.assumption(),
        }


def whole_cost(
    surface: Fit,
    cells: GridCells,
    demand: Demand,
    *,
    x: str,
    currency: str | None,
    noise: float,
    level: float,
    seed: int,
) -> WholeCost:
    """Find the size that costs least in all.

    Args:
        surface: of size and data, as `analysis.optimum.surface.weighed_surface` fits it. noise: standard deviation of a cell's log loss.

    Raises: UsageError where it is not known how many examples the runs saw.
    """
    per_epoch = cells.examples_per_epoch
    if cells.data_name == "steps" or (cells.data_name == "epochs" and per_epoch == 1.0):
        raise UsageError(
            f"--serve and --finetune count examples, and of these runs only {cells.data_name} are known",
            hint="--map examples_seen=THEIRS",
        )
    grid = _Grid(surface, cells, demand, seed, _FINER)
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    unknown: dict[str, Any] = dict.fromkeys(
        ("loss", "size", "examples", "total", "training_size", "training_examples", "over_training", "saved"), nothing
    )
    shared: dict[str, Any] = {
        "demand": demand,
        "metric": surface.metric,
        "x": x,
        "currency": currency,
        "size_name": cells.size_name,
        "level": level,
    }
    point = grid.best(None)
    if why := grid.why_not(point):
        parts: dict[str, Any] = dict.fromkeys(("training", "finetuning", "serving", "epochs"), float("nan"))
        return WholeCost(**shared, **unknown, **parts, reason=why)
    coarse = _Grid(surface, cells, demand, seed, 1)
    near, drawn = coarse.best(None), coarse.best(surface.estimate.log_mean_draws(coarse.inputs))

    given = "loss" if demand.budget is None else "total"  # which no draw moves

    def interval(name: str) -> Interval:
        value = float(point[name][0])
        if name == given:
            return Interval(value, value, value)
        return about(value, drawn[name] + (value - near[name][0]), level, noise)

    size, examples = float(np.exp(point["size"][0])), float(np.exp(point["examples"][0]))
    training = 1 / (1 + demand.weight / examples)
    intervals: dict[str, Any] = {name: interval(name).exp() for name in unknown if name != "saved"}
    gain = interval("saved")
    return WholeCost(
        **shared,
        **intervals,
        saved=Interval(*(-float(np.expm1(-max(end, 0.0))) for end in (gain.value, gain.low, gain.high))),
        training=training,
        finetuning=training * demand.finetune / examples,
        serving=training * demand.serve_share * demand.serve / examples,
        epochs=examples / per_epoch if cells.data_name == "epochs" and size else float("nan"),
    )


class _Grid:
    """Holds sizes × amounts of data, in logarithms, on which losses and costs are read."""

    def __init__(self, surface: Fit, cells: GridCells, demand: Demand, seed: int, finer: int) -> None:
        self.surface, self.cells, self.demand, self.seed = surface, cells, demand, seed
        self.sizes = np.linspace(cells.sizes[0] - _SIZES_BEYOND, cells.sizes[-1] + _SIZES_BEYOND, finer * (_SIZES - 1) + 1)
        self.data = np.linspace(cells.data.min() - _LESS, cells.data.max() + _MORE, finer * (_AMOUNTS - 1) + 1)
        self.shape = (len(self.sizes), len(self.data))
        both = np.meshgrid(self.sizes, self.data, indexing="ij")
        self.inputs = law_inputs(cells, both[0].ravel(), both[1].ravel())[: len(surface.axes)]
        self.mean = surface.estimate.log_mean(self.inputs)
        self.wanted = self._wanted()

    def best(self, draws: np.ndarray | None) -> dict[str, np.ndarray]:
        """Find the best size by the point estimates, or in each draw (draws, sizes · amounts) of the log losses.

        Returns `size`, `examples`, `total`, `loss`, `training_size`, `training_examples`, `over_training`, `saved`, (draws,) each, in
        logarithms; NaN where a draw has none.
        """
        loss = (self.mean[None] if draws is None else draws).reshape(-1, *self.shape)
        theta = None if draws is None else self.cells.cost.draws(len(loss), self.seed)[0]
        train = self._training(theta, len(loss))
        examples = np.exp(self.data) * self.cells.examples_per_epoch
        total = train + np.log1p(self.demand.weight / examples)
        wanted = np.full(len(loss), self.wanted)
        if self.demand.budget is not None:
            within = _crossing(total, float(np.log(self.demand.budget)))
            _, wanted, _ = _lowest(
                self.sizes, _at(loss, within)
            )  # which the budget reaches; the cheapest way there is the budget's best
        place = _crossing(-loss, -wanted[:, None])
        in_all, alone = _at(total, place), _at(train, place)
        size, least, row = _lowest(self.sizes, in_all)
        plain, _, plain_row = _lowest(self.sizes, alone)
        data, plain_data = _between(self.data, place, row), _between(self.data, place, plain_row)
        examples_of = np.log(self.cells.examples_per_epoch)
        return {
            "size": size,
            "examples": data + examples_of,
            "total": least,
            "loss": wanted,
            "training_size": plain,
            "training_examples": plain_data + examples_of,
            "over_training": data - size - plain_data + plain,
            "saved": _pick(in_all, plain_row) - least,
        }

    def why_not(self, point: dict[str, np.ndarray]) -> str:
        """Say why the point estimates name no size; empty where they do."""
        if np.isfinite(list(point.values())).all():
            return ""
        if self.demand.budget is not None:
            return "within what is looked at, no size spends such a budget best"
        lowest = float(np.exp(self.mean.min()))
        if self.wanted < self.mean.min():
            return f"by these surfaces no size and data within reach have a loss below {significant(lowest)}"
        return "the cheapest size lies far outside those that were tried"

    def _wanted(self) -> float:
        if self.demand.target_loss is not None:
            return float(np.log(self.demand.target_loss))
        data = self.cells.cost.log_data(float(self.cells.x.max()), self.sizes)
        return float(self.surface.estimate.log_mean(law_inputs(self.cells, self.sizes, data)[: len(self.surface.axes)]).min())

    def _training(self, theta: np.ndarray | None, draws: int) -> np.ndarray:
        """Return log compute of training at each size and amount, (draws, sizes, amounts)."""
        cost = self.cells.cost
        if theta is None:
            return np.asarray(cost.log_x(np.repeat(self.sizes, self.shape[1]), np.tile(self.data, self.shape[0]))).reshape(
                1, *self.shape
            )
        # C buys `log_data(log C)` examples: a straight line in log C, so two values of it tell what data cost.
        at = np.tile(self.sizes, (draws, 1))
        start, power = cost.log_data(0.0, at, theta), cost.power(theta)
        return np.asarray((self.data - start[..., None]) * power[..., None])


def _crossing(values: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Find where values (d, s, k) first reach a level (d, 1) along the last axis, as a broken index (d, s).

    It is NaN where they do not, or do from the start.

    It is read by inverse quadratic interpolation through the three nearest; along a straight line, where that leads astray.
    """
    level = np.broadcast_to(level, (*values.shape[:1], 1))
    above = values >= level[..., None]
    first = above.argmax(axis=-1)
    reached = above.any(axis=-1) & (first > 0)
    left = np.clip(first - 1, 0, values.shape[-1] - 3)
    v, w, z = (np.take_along_axis(values, (left + step)[..., None], -1)[..., 0] - level for step in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        place = left + v * z / ((w - v) * (w - z)) + 2 * v * w / ((z - v) * (z - w))
        low, high = np.where(first > left + 1, w, v), np.where(first > left + 1, z, w)
        straight = first - 1 - low / (high - low)
    return np.where(reached, np.where(np.abs(place - first + 0.5) <= 0.5, place, straight), np.nan)


def _at(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Read values (d or 1, s, k) at broken indices (d, s), by the parabola through the three nearest; inf where these are NaN."""
    values = np.broadcast_to(values, (*place.shape, values.shape[-1]))
    found = _pick(values.reshape(-1, values.shape[-1]), place.ravel()).reshape(place.shape)
    return np.where(np.isfinite(found), found, np.inf)


def _lowest(sizes: np.ndarray, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the minimum of curves (d, s): log size, height, and broken index, (d,) each; NaN at an end, or beside what cannot be had."""
    row = curves.argmin(axis=-1)
    inner = np.clip(row, 1, len(sizes) - 2)
    left, here, right = (np.take_along_axis(curves, (inner + step)[:, None], -1)[:, 0] for step in (-1, 0, 1))
    known = (row == inner) & np.isfinite(left + here + right)
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = left - 2 * here + right
        shift = np.where(known & (bend > 0), np.clip((left - right) / (2 * bend), -0.5, 0.5), 0.0)
        height = np.where(known, here - 0.25 * (left - right) * shift, np.nan)
    place = np.where(known, inner + shift, np.nan)
    return sizes[0] + place * (sizes[1] - sizes[0]), height, place


def _pick(curves: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Read curves (d, s) at broken indices (d,), by the parabola through the three nearest."""
    known = np.isfinite(place)
    inner = np.clip(np.where(known, place, 1).round().astype(int), 1, curves.shape[1] - 2)
    left, here, right = (np.take_along_axis(curves, (inner + step)[:, None], -1)[:, 0] for step in (-1, 0, 1))
    shift = place - inner
    with np.errstate(invalid="ignore"):
        return np.where(known, here + shift * (right - left) / 2 + shift**2 * (left - 2 * here + right) / 2, np.nan)


def _between(data: np.ndarray, places: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return log data (d,) at broken rows (d,) of broken indices (d, s) into the data."""
    return np.asarray(data[0] + _pick(places, row) * (data[1] - data[0]))
