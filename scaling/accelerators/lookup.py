"""Finding an accelerator by its name, its aliases, or what its driver calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scaling.accelerators.accelerator import Accelerator
from scaling.accelerators.table import TABLE
from scaling.errors import UnknownName

__all__ = ["ACCELERATORS", "accelerator", "accelerator_of_device", "canonical", "how_to_add"]

ACCELERATORS: dict[str, Accelerator] = {entry.name: entry for entry in TABLE}
"""Those that are shipped, by name."""


def accelerator(name: str, declared: Iterable[Accelerator] = ()) -> Accelerator:
    """Return the accelerator that is called `name`, or has it as an alias. declared: a user's own, which come first.

    Raises `UnknownName` with the nearest name.
    """
    kinds = [*declared, *TABLE]
    for kind in kinds:
        if kind.name == name:
            return kind
    for kind in kinds:
        if name in kind.aliases:
            return kind
    names = [kind.name for kind in kinds]
    known = [*names, *(alias for kind in kinds for alias in kind.aliases)]
    hint = f"known: {', '.join(dict.fromkeys(names))}; add another by `accelerators:` in the experiments file"
    raise UnknownName("accelerator", name, known, hint=hint)


def canonical(name: str) -> str:
    """Return the name in the table of what may be an alias there; another name as it is."""
    try:
        return accelerator(name).name
    except UnknownName:
        return name


def accelerator_of_device(device_kind: str, declared: Iterable[Accelerator] = ()) -> Accelerator | None:
    """Return the accelerator that a driver calls `device_kind`, as JAX shows it; None for one that is not known.

    Of several that fit, the one with the longest name counts, and of equal ones a declared one.
    """
    fits = [(kind.fit(device_kind), kind) for kind in (*declared, *TABLE)]
    best, kind = max(fits, key=lambda pair: pair[0])
    return kind if best else None


def how_to_add(device_kind: str) -> str:
    """Return a line that says that a device is not known, what that means, and how to add it to the experiments file."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r"^(NVIDIA|AMD|Intel)\W+", "", device_kind))[:40].strip("-") or "mine"
    return (
        f"{device_kind!r} is in no table of accelerators, so its MFU is not known; to add it, write `accelerators: "
        f'[{{name: {name}, peak_flops: FLOP/s in dense bfloat16, device_names: ["{device_kind}"]}}]` into the experiments file'
    )
