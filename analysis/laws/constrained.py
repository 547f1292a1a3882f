"""`constrained`: a law with coefficients pinned at numbers, or tied to one another, as published recipes have them.

A pinned coefficient stays in theta, and the solver holds it. Coefficients that are tied are one entry of theta, under the first of their
letters. Where a scale such as A is pinned, the inputs that it is of are not centred, since A has its meaning in their unit alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from itertools import pairwise
from math import isfinite, prod

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term
from scaling.errors import UnknownName, UsageError

__all__ = ["Pins", "Ties", "constrained", "pins_of", "refuse_unnamed", "ties_of"]

Pins = Mapping[str, float] | Sequence[str]
"""Letter → number, or texts such as `E=1.69`."""

Ties = Sequence[Sequence[str] | str]
"""Letters that share one number, `("alpha", "beta")` each, or texts such as `alpha=beta`."""

_MOST_NODES = 60  # of a coefficient: as fine as the search of any law

_KINDS = {
    "E": "a floor",
    "scale": "a scale",
    "exponent": "an exponent",
    "location": "a place on an input",
    "count": "a number",
    "ratio": "a ratio",
}


def pins_of(pin: Pins) -> dict[str, float]:
    """Read pins, in the order of their letters. Raises `UsageError` for what is no number, and for a letter with two."""
    pairs = list(pin.items()) if isinstance(pin, Mapping) else [_parted(text, "--pin E=1.69") for text in _texts(pin)]
    found: dict[str, float] = {}
    for letter, given in pairs:
        try:
            number = float(given)
        except ValueError:
            raise UsageError(f"pin {letter}={given}: {given!r} is not a number", hint="--pin E=1.69") from None
        if not isfinite(number):
            raise UsageError(f"pin {letter}={given} is not finite", hint="--pin E=1.69")
        if found.setdefault(letter, number) != number:
            raise UsageError(f"{letter} is pinned at {found[letter]:g} and at {number:g}", hint="pin a coefficient once")
    return dict(sorted(found.items()))


def ties_of(tie: Ties) -> tuple[tuple[str, ...], ...]:
    """Read ties: of each the letters that share a number. Raises `UsageError` for fewer than two."""
    hint = "--tie alpha=beta"
    groups = [_parted(each, hint, several=True) if isinstance(each, str) else tuple(each) for each in _texts(tie)]
    for group in groups:
        if len(set(group)) < 2:
            raise UsageError(f"tie {'='.join(group)} names one coefficient: two share a number", hint=hint)
    return tuple(groups)


def refuse_unnamed(law: str | None, pin: Pins, tie: Ties) -> None:
    """Raise `UsageError` where coefficients are pinned or tied, but no law is named that has them."""
    if law in (None, "auto") and (pin or tie):
        raise UsageError(
            "pinned and tied coefficients are those of one law, and none is named", hint="name it: --law chinchilla --pin E=1.69"
        )


def constrained(law: Law, pin: Pins = (), tie: Ties = ()) -> Law:
    """Return the law with some coefficients held at numbers, and others sharing one.

    >>> from analysis.laws import law_named
    >>> constrained(law_named("chinchilla"), pin={"E": 1.69}, tie=[("alpha", "beta")]).free
    ('A', 'alpha', 'B')

    Raises:
        UnknownName: a letter that the law does not have.
        UsageError: a number that the coefficient cannot have; a tie between coefficients of different kinds; nothing left to fit.
    """
    pins, groups = pins_of(pin), ties_of(tie)
    return _constrained(law, tuple(pins.items()), groups) if pins or groups else law


@lru_cache(maxsize=256)  # one object for one question: fits are remembered by it
def _constrained(law: Law, pins: tuple[tuple[str, float], ...], groups: tuple[tuple[str, ...], ...]) -> Law:
    kinds = _kinds(law)
    for letter in [letter for letter, _ in pins] + [letter for group in groups for letter in group]:
        if letter not in kinds:
            raise UnknownName(f"coefficient of law {law.name}", letter, law.coefficients, hint=f"{law.name}: {law.formula}")
    tied = _tied(law, _first_of(law, groups, kinds), kinds)
    pinned: dict[str, float] = {}
    for letter, number in pins:
        _require_possible(law, letter, number, kinds[letter])
        kept = tied.copies.get(letter, letter)
        if pinned.setdefault(kept, number) != number:
            raise UsageError(f"{letter} and {kept} are tied, but pinned at {number:g} and {pinned[kept]:g}", hint="pin one of them")
    held = replace(
        tied,
        pinned=pinned,
        shown=law.coefficients,
        uncentred=tied.uncentred | _axes_of(tied, pinned),
        shapes=_searched_finely(tied, pinned),
    )
    if not held.free:
        raise UsageError(f"all coefficients of law {law.name} are pinned: nothing is left to fit", hint="leave one of them free")
    return held


def _kinds(law: Law) -> dict[str, str]:
    kinds = {name: "E" if name == "E" else "scale" for name in law.linear}
    return kinds | {shape.name: shape.kind for shape in law.shapes}


def _require_possible(law: Law, letter: str, number: float, kind: str) -> None:
    may_be_negative = any(shape.name == letter and shape.may_be_negative for shape in law.shapes)
    if not may_be_negative and (number < 0 or (number == 0 and kind != "E")):
        least = "0 or more" if kind == "E" else "more than 0"
        raise UsageError(
            f"{letter} of law {law.name} cannot be {number:g}: it is {_KINDS[kind]}, {least}", hint=f"--pin {letter}=…"
        )


def _first_of(law: Law, groups: tuple[tuple[str, ...], ...], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return for each letter that shares a number the first letter, in the order of the law, that shares it."""
    first = {name: name for name in law.coefficients}
    for group in groups:
        for one, other in pairwise(group):
            if kinds[one] != kinds[other] or kinds[one] in ("E", "location", "ratio"):
                raise UsageError(
                    f"{one} and {other} of law {law.name} cannot be tied: {one} is {_KINDS[kinds[one]]}, {other} is {_KINDS[kinds[other]]}",
                    hint=_can_be_tied(law, kinds),
                )
            kept, gone = sorted((first[one], first[other]), key=law.coefficients.index)
            first = {name: kept if of == gone else of for name, of in first.items()}
    return {name: of for name, of in first.items() if name != of}


def _can_be_tied(law: Law, kinds: Mapping[str, str]) -> str:
    alike = [[name for name in law.coefficients if kinds[name] == kind] for kind in ("exponent", "scale", "count")]
    sets = [" and ".join(names) for names in alike if len(names) > 1]
    return f"law {law.name} can tie {'; '.join(sets)}" if sets else f"law {law.name} has no two coefficients of one kind"


def _tied(law: Law, copies: Mapping[str, str], kinds: Mapping[str, str]) -> Law:
    if not copies:
        return law

    def renamed(powers: Mapping[str, int]) -> dict[str, int]:
        return {copies.get(name, name): axis for name, axis in powers.items()}

    shapes = [shape for shape in law.shapes if shape.name not in copies]
    kept = [shape.name for shape in shapes]
    place_of_shape = [kept.index(copies.get(shape.name, shape.name)) for shape in law.shapes]
    sharing = {name: [shape for shape in law.shapes if copies.get(shape.name) == name] for name in kept}
    terms = [term for term in law.terms if term.coefficient not in copies]
    members = [
        [place for place, each in enumerate(law.terms) if copies.get(each.coefficient, each.coefficient) == term.coefficient]
        for term in terms
    ]

    def log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
        parts, slopes = law.log_terms(logs, shape[:, place_of_shape])
        together = [reduce(np.logaddexp, [parts[place] for place in some]) for some in members]
        found: list[Slope] = []
        for term, of_shape, slope in slopes:
            new = next(number for number, some in enumerate(members) if term in some)
            share = 1.0 if len(members[new]) == 1 else np.exp(parts[term] - together[new])
            found.append((new, place_of_shape[of_shape], share * slope))
        return together, found

    return replace(
        law,
        coefficients=tuple(name for name in law.coefficients if name not in copies),
        terms=tuple(
            # A scale of several terms has no one unit: its inputs are not centred, so that none is needed.
            Term(term.coefficient, {}) if len(some) > 1 else Term(term.coefficient, renamed(term.exponents), renamed(term.rises))
            for term, some in zip(terms, members, strict=True)
        ),
        shapes=tuple(
            replace(
                shape,
                exponents=renamed(shape.exponents),
                rises=renamed(shape.rises),
                bounds=_bounds_of_all([shape, *sharing[shape.name]]) if sharing[shape.name] else shape.bounds,
            )
            for shape in shapes
        ),
        log_terms=log_terms,
        copies=dict(copies),
        shown=law.coefficients,
        uncentred=_axes_of(law, [name for name in (*copies, *copies.values()) if kinds[name] == "scale"]),
    )


def _searched_finely(law: Law, pinned: Mapping[str, float]) -> tuple[Shape, ...]:
    """Give the nodes of pinned shape coefficients to the search for the others, in which they are few."""
    free = [shape for shape in law.shapes if shape.name not in pinned]
    spare = prod(shape.nodes for shape in law.shapes if shape.name in pinned)
    finer = spare ** (1 / max(1, len(free)))
    return tuple(
        replace(shape, nodes=min(_MOST_NODES, int(shape.nodes * finer))) if shape in free else shape for shape in law.shapes
    )


def _bounds_of_all(shapes: Sequence[Shape]) -> Callable[[np.ndarray], tuple[float, float]]:
    def bounds(logs: np.ndarray) -> tuple[float, float]:
        ranges = [shape.range(logs) for shape in shapes]
        return max(low for low, _ in ranges), min(high for _, high in ranges)

    return bounds


def _axes_of(law: Law, letters: Sequence[str] | Mapping[str, float]) -> frozenset[int]:
    """Return the inputs in whose unit these coefficients are."""
    axes: set[int] = set()
    for name in letters:
        part = law.parts.get(name)
        if part is not None:
            axes |= {*part.exponents.values(), *part.rises.values()}
        if isinstance(part, Shape) and part.kind == "location":
            axes |= {part.axis} if part.per is None else {part.axis, part.per}
    return frozenset(axes)


def _texts(given: Sequence[str] | Sequence[Sequence[str] | str] | str) -> Sequence[str]:
    """Split what has commas between: `--pin A=521,B=1488`."""
    several = [given] if isinstance(given, str) else given
    return [part for each in several for part in (each.split(",") if isinstance(each, str) else [each])]  # type: ignore[misc]


def _parted(text: str, hint: str, *, several: bool = False) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split("="))
    if len(parts) < 2 or (len(parts) > 2 and not several) or not all(parts):
        raise UsageError(f"{text!r} is not of the form {hint.split()[1]}", hint=hint)
    return parts
