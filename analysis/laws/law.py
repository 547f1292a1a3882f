"""`Law` describes a law: its formula, its coefficients and its terms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Law", "Shape", "Slope", "Term", "reach"]

Slope = tuple[int, int, np.ndarray]
"""(term, shape coefficient, derivative of the logarithm of that term by that coefficient, broadcast to (draws, n))."""

EXPONENT_TIMES_SPAN = (0.02, 40.0)
"""Bounds of an exponent times the range of its log input, so that they do not depend on a unit. Below, a term is straight in the log
to within noise; above, all but the first point lie on what is left without it."""

_REACH_FROM = 6  # distinct values; of fewer, two of which are set aside, too few are left to tell a far value from the others


def reach(log_values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest of log values (n,), as bounds of a search take them.

    The outermost value on either side is left out, and at most the range of all others is added there. So no single run moves a bound by
    more than the others span. Evenly spaced runs have their own range.
    """
    values = np.unique(log_values)
    first, last = float(values[0]), float(values[-1])
    if len(values) < _REACH_FROM:
        return first, last
    second, last_but_one = float(values[1]), float(values[-2])
    inner = last_but_one - second
    return max(first, second - inner), min(last, last_but_one + inner)


@dataclass(frozen=True)
class Shape:
    """Describes a coefficient inside a term, where it does not enter linearly.

    name: its letter. axis: the input it belongs to, an index into `Law.axes`.
    kind: `exponent`: positive, without a unit, searched on a logarithmic grid within `EXPONENT_TIMES_SPAN`; `location`: a place on the
        axis, in its unit, or in that over the unit of the axis `per`; `count`: a positive number without a unit; `ratio`: of one part of a term to another, in units that follow from
        `exponents` and `rises`, as those of a `Term`. All but the first are handled as logarithms.
    bounds: of the coefficient as the solver holds it, from the log inputs (k, n); scale-free as well. Of a ratio they hold for centred
        inputs, where both parts are about 1. None for an exponent: `EXPONENT_TIMES_SPAN`.
    nodes: of the grid that finds the basin of the optimum.
    may_be_negative: an exponent that may have either sign.
    """

    name: str
    axis: int
    kind: str = "exponent"
    bounds: Callable[[np.ndarray], tuple[float, float]] | None = None
    nodes: int = 32
    may_be_negative: bool = False
    exponents: Mapping[str, int] = field(default_factory=dict)
    rises: Mapping[str, int] = field(default_factory=dict)
    per: int | None = None

    @property
    def is_logged(self) -> bool:
        return self.kind != "exponent"

    def range(self, logs: np.ndarray) -> tuple[float, float]:
        """Return the bounds of the coefficient as the solver holds it, for log inputs (k, n)."""
        if self.bounds is not None:
            return self.bounds(logs)
        low = EXPONENT_TIMES_SPAN[0] / max(float(np.ptp(logs[self.axis])), 1e-9)  # a far run can only lower it
        high = EXPONENT_TIMES_SPAN[1] / max(float(np.ptp(reach(logs[self.axis]))), 1e-9)
        return (-high, high) if self.may_be_negative else (low, high)

    def grid(self, logs: np.ndarray) -> np.ndarray:
        """Return the values at which the search for the basin looks, (nodes,), or twice as many for an exponent of either sign."""
        low, high = self.range(logs)
        if self.is_logged:
            return np.linspace(low, high, self.nodes)
        least = EXPONENT_TIMES_SPAN[0] / EXPONENT_TIMES_SPAN[1] * high if self.may_be_negative else low
        upward = np.geomspace(least, high, self.nodes)
        return np.concatenate([-upward[::-1], upward]) if self.may_be_negative else upward


@dataclass(frozen=True)
class Term:
    """Describes a summand `coefficient · exp(…)` with a coefficient that is not negative.

    exponents: which shape coefficients are powers of which input, {"a": 0}: rescaling input 0 by s multiplies the coefficient by s^a.
    rises: the same of powers that rise with the input: rescaling divides the coefficient.
    """

    coefficient: str
    exponents: Mapping[str, int]
    rises: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Law:
    """Describes a formula for a metric against one input or several: a floor (or none) and terms whose coefficients enter linearly.

    `theta`, the vector that solvers and covariances speak of, holds the coefficients in the order of `coefficients`: the floor E and
    exponents as they are, all others as logarithms.

    name: as `--law` takes it.
    formula: for people; `x` is the input of a law of one axis.
    axes: letters of the inputs, see `analysis.laws.axes`.
    coefficients: the letters of the formula, in the order in which they are shown.
    meanings: letter → what it is, in words.
    citation: where the form comes from.
    equation: the formula with numbers and names filled in: `equation(values, metric, x)`; `values` and `x` are already text.
    floor: whether the formula begins with `E +`.
    terms, shapes: what follows the floor, and the coefficients inside.
    log_terms: `log_terms(logs (k, n), shape (draws, q)) -> (logs of the terms without their coefficients, slopes)`: a sequence of arrays
        (draws, n) in the order of `terms`, and `Slope`s.
    shares_unit_with: for each axis, the axis whose unit it must keep to when inputs are rescaled.
    is_candidate: whether it takes part in the automatic choice.
    pinned: letter → the number that it is held at; copies: letter → the earlier one whose number it shares; shown: the letters as people
        see them, copies included; uncentred: axes that are not centred. All four are set by `analysis.laws.constrained` alone.
    """

    name: str
    formula: str
    axes: tuple[str, ...]
    coefficients: tuple[str, ...]
    meanings: Mapping[str, str]
    citation: str
    equation: Callable[[Mapping[str, str], str, Sequence[str]], str]
    floor: bool
    terms: tuple[Term, ...]
    shapes: tuple[Shape, ...]
    log_terms: Callable[[np.ndarray, np.ndarray], tuple[Sequence[np.ndarray], Sequence[Slope]]]
    shares_unit_with: tuple[int, ...] = ()
    is_candidate: bool = True
    pinned: Mapping[str, float] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    uncentred: frozenset[int] = frozenset()

    @property
    def letters(self) -> tuple[str, ...]:
        """Return the letters of the formula, also of those coefficients that share the number of another."""
        return self.shown or self.coefficients

    @property
    def free(self) -> tuple[str, ...]:
        """Return the letters of the coefficients that a fit has to find."""
        return tuple(name for name in self.coefficients if name not in self.pinned)

    @property
    def is_pinned(self) -> np.ndarray:
        """Say which entries of theta are held at a number, (p,) of booleans."""
        return np.array([name in self.pinned for name in self.coefficients])

    @property
    def least_points(self) -> int:
        """Count the distinct inputs that a fit needs: one more than there are free coefficients, so that the noise can be measured."""
        return len(self.free) + 1

    @property
    def parts(self) -> dict[str, Term | Shape]:
        """Return by its letter what has a unit that follows from powers: each term, and each shape coefficient."""
        return {term.coefficient: term for term in self.terms} | {shape.name: shape for shape in self.shapes}

    def hidden_without(self, gone: Collection[str]) -> set[str]:
        """Return the shape coefficients of which nothing shows where the terms with these coefficients vanish."""
        seen = {name for term in self.terms if term.coefficient not in gone for name in (*term.exponents, *term.rises)}
        return {name for term in self.terms if term.coefficient in gone for name in (*term.exponents, *term.rises)} - seen

    @property
    def powers(self) -> Iterator[tuple[str, str, int]]:
        """List (coefficient, exponent, axis) for each power of one input whose coefficient and exponent are both to be found.

        A power of a ratio of inputs is none of one input.
        """
        for coefficient, part in self.parts.items():
            for exponent, axis in part.exponents.items():
                if exponent not in part.rises and not {coefficient, exponent} & self.pinned.keys():
                    yield coefficient, exponent, axis

    @property
    def is_surface(self) -> bool:
        return len(self.axes) > 1

    @property
    def linear(self) -> tuple[str, ...]:
        """Return the letters of the coefficients that enter linearly: the floor first, then those of the terms."""
        return (("E",) if self.floor else ()) + tuple(term.coefficient for term in self.terms)

    @property
    def linear_at(self) -> list[int]:
        """Return the places of the linear coefficients in theta."""
        return [self.coefficients.index(name) for name in self.linear]

    @property
    def shape_at(self) -> list[int]:
        """Return the places of the shape coefficients in theta."""
        return [self.coefficients.index(shape.name) for shape in self.shapes]

    @property
    def logged(self) -> np.ndarray:
        """Say which entries of theta are logarithms, (p,) of booleans."""
        plain = {"E"} | {shape.name for shape in self.shapes if not shape.is_logged}
        return np.array([name not in plain for name in self.coefficients])

    def values(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Return letter → number (draws,), from theta (draws, p)."""
        with np.errstate(over="ignore"):
            natural = np.where(self.logged, np.exp(np.where(self.logged, theta, 0.0)), theta)
        place = {name: place for place, name in enumerate(self.coefficients)}
        return {name: natural[..., place[self.copies.get(name, name)]] for name in self.letters}

    def theta(self, values: Mapping[str, float]) -> np.ndarray:
        """Return theta, (p,), from letter → number."""
        plain = np.array([float(values[name]) for name in self.coefficients])
        with np.errstate(divide="ignore"):
            return np.where(self.logged, np.log(np.where(self.logged, plain, 1.0)), plain)

    def log_curve(self, inputs: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the log of the mean curve, (draws, n), at positive inputs (k, n) for theta (draws, p).

        It is computed in logarithms, since a coefficient such as A overflows long before its term does.
        """
        logs, _ = self.log_terms(np.log(np.atleast_2d(inputs)), theta[:, self.shape_at])
        of_terms = theta[:, self.linear_at][:, 1 if self.floor else 0 :]
        total = None
        with np.errstate(divide="ignore"):
            if self.floor:
                total = np.log(np.maximum(theta[:, self.linear_at[:1]], 0.0)) + np.zeros(np.shape(inputs)[-1])
            for place, log_term in enumerate(logs):
                part = of_terms[:, place : place + 1] + log_term
                total = part if total is None else np.logaddexp(total, part)
        assert total is not None
        return total

    def log_curve_jacobian(self, inputs: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the derivatives of `log_curve` at one theta (p,) by its entries, (n, p)."""
        return self.log_curve_jacobians(inputs, theta[None])[0]

    def log_curve_jacobians(self, inputs: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the same at several thetas (draws, p), (draws, n, p)."""
        inputs = np.atleast_2d(inputs)
        logs, slopes = self.log_terms(np.log(inputs), theta[:, self.shape_at])
        log_curve = self.log_curve(inputs, theta)
        of_terms = theta[:, self.linear_at][:, 1 if self.floor else 0 :]
        shares = [np.exp(of_terms[:, place : place + 1] + log_term - log_curve) for place, log_term in enumerate(logs)]
        jacobian = np.zeros((*log_curve.shape, len(self.coefficients)))
        if self.floor:
            jacobian[:, :, self.linear_at[0]] = np.exp(-log_curve)
        for place, share in zip(self.linear_at[1 if self.floor else 0 :], shares, strict=True):
            jacobian[:, :, place] = share
        for term, shape, slope in slopes:
            jacobian[:, :, self.shape_at[shape]] += shares[term] * slope
        return jacobian

    def curve(self, inputs: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
        """Return the mean curve (n,), in the unit of the metric."""
        return np.exp(self.log_curve(np.atleast_2d(inputs), self.theta(values)[None])[0])

    def centre(self, logs: np.ndarray) -> np.ndarray:
        """Return the mean of each log input, (k,); axes of one unit get one centre. Centred, coefficients are nearly uncorrelated."""
        means = logs.mean(axis=1)
        if self.uncentred:
            unit_of = self.shares_unit_with or tuple(range(len(means)))
            left = {unit_of[axis] for axis in self.uncentred}
            means[[axis for axis, unit in enumerate(unit_of) if unit in left]] = 0.0
        return means[list(self.shares_unit_with)] if self.shares_unit_with else means

    def uncentring(self, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrix (p, p) and offset (p,) that take theta from centred inputs to inputs in their unit.

        Theta for inputs in their unit = matrix @ (theta for inputs divided by exp(centre)) + offset.
        """
        matrix, offset = np.eye(len(self.coefficients)), np.zeros(len(self.coefficients))
        for coefficient, part in self.parts.items():
            for sign, powers in ((1.0, part.exponents), (-1.0, part.rises)):
                for name, axis in powers.items():
                    matrix[self.coefficients.index(coefficient), self.coefficients.index(name)] += sign * centre[axis]
        for shape, place in zip(self.shapes, self.shape_at, strict=True):
            if shape.kind == "location":
                offset[place] = centre[shape.axis] - (0.0 if shape.per is None else centre[shape.per])
        return matrix, offset
