"""Conversion of core-hours of one accelerator to those of another.

Hours of different devices do not compare unless somebody names the factor.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict

import pandas as pd

from analysis.reading.source import add_note, attach_source, source_of
from scaling.accelerators import CONVERSIONS, HourConversion
from scaling.accelerators.hours import MEASURED
from scaling.errors import UsageError

__all__ = ["check_conversions", "convert_core_hours", "measured_in", "with_measured"]

_HINT = "e.g. --convert TPU-v3:TPU-v4=2.27, when 2.27 core-hours on TPU-v3 do what one does on TPU-v4"


def with_measured(runs: pd.DataFrame, found: Sequence[HourConversion]) -> pd.DataFrame:
    """Let a store's table carry the factors that its probes measured; the table as it is, where there are none."""
    return attach_source(runs, {**source_of(runs), MEASURED: [asdict(entry) for entry in found]}) if found else runs


def measured_in(runs: pd.DataFrame) -> tuple[HourConversion, ...]:
    """Return the factors that a table carries, see `with_measured`."""
    return tuple(HourConversion(**entry) for entry in source_of(runs).get(MEASURED, ()))


def check_conversions(texts: Iterable[str], measured: Iterable[HourConversion] = ()) -> tuple[HourConversion, ...]:
    """Read the texts of `--convert`, `["TPU-v3:TPU-v4=2.27", …]`, as conversions.

    Instead of a number the name of a published factor may be given (`=nfnet`), or `=measured` for one among `measured`. Raises `UsageError` for a text of another form, for a factor
    that is not a positive finite number, and for an accelerator that is converted twice or into itself.
    """
    found: list[HourConversion] = []
    named = (*CONVERSIONS, *measured)
    for text in texts:
        pair, equals, factor = text.partition("=")
        theirs, colon, ours = (part.strip() for part in pair.partition(":"))
        factor = factor.strip()
        published = {entry.name: entry for entry in named if (entry.theirs, entry.ours) == (theirs, ours)}
        if not (colon and theirs and ours):
            raise UsageError(f"--convert {text!r} is not of the form theirs:ours=factor", hint=_HINT)
        if theirs == ours or theirs in {entry.theirs for entry in found}:
            raise UsageError(f"--convert {text!r}: {theirs} is converted twice or into itself", hint="give each accelerator once")
        if factor in published:
            found.append(published[factor])
            continue
        try:
            number = float(factor) if equals else math.nan
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            if factor == MEASURED:
                raise UsageError(
                    f"--convert {text!r}: no model was probed on both",
                    hint=f"`scaling probe FILE` on {theirs}, then on {ours}, with one store (--db); a server and a file have no probes",
                )
            known = "; ".join(
                f"--convert {theirs}:{ours}={entry.name} is {entry.factor:g} ({entry.source})" for entry in published.values()
            )
            raise UsageError(f"--convert {text!r} names no factor", hint=known or _HINT)
        found.append(HourConversion("", theirs, ours, number, "named with --convert"))
    return tuple(found)


def convert_core_hours(runs: pd.DataFrame, conversions: Iterable[HourConversion], also: Collection[str] = ()) -> pd.DataFrame:
    """Divide the core-hours of `theirs` by the factor, let them count as those of `ours`, and add a note that says so.

    `converted_from` holds the accelerator that a converted run was trained on. also: accelerators of reference points, whose conversions
    change no run where none was trained on them. Raises `UsageError` when the table has no runs of another one.
    """
    trained = set(map(str, runs["accelerator"].dropna().unique())) if "accelerator" in runs else set()
    conversions = tuple(entry for entry in conversions if entry.theirs in trained or entry.theirs not in also)
    if not conversions:
        return runs
    if "accelerator" not in runs:
        raise UsageError("--convert needs a column accelerator", hint="name it with --map accelerator=THEIRS")
    notes, attributes = [], dict(runs.attrs)
    runs = runs.copy()
    trained_on = runs["accelerator"].astype(object)
    for entry in conversions:
        rows = trained_on == entry.theirs
        if not rows.any():
            kinds = ", ".join(sorted(trained_on.dropna().astype(str).unique()))
            raise UsageError(
                f"--convert: no run was trained on {entry.theirs}", hint=f"the runs are of: {kinds or 'none that is known'}"
            )
        for column in ("core_hours", "allocated_core_hours"):
            if column in runs:
                runs[column] = runs[column].astype(float).mask(rows, runs[column] / entry.factor)
        runs["accelerator"] = runs["accelerator"].mask(rows, entry.ours)
        notes.append(
            f"core-hours of {int(rows.sum())} runs on {entry.theirs} count as those of {entry.ours}, divided by {entry.factor:g} ({entry.source})"
        )
    runs["converted_from"] = trained_on.where(trained_on != runs["accelerator"], "")
    runs.attrs = attributes
    return add_note(runs, notes)
