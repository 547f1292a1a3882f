"""What all figures share: colours, markers and the layout around the plot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.figures.colours import size_colour

__all__ = ["FAINT", "LAW_COLOURS", "LEGEND_WHERE_NARROW", "NEUTRAL", "PALETTE", "Look", "labels", "layout", "looks", "translucent"]

NEUTRAL = "#7b7b7b"
"""Text and law lines: contrast about 4.2 : 1 on white and 4.5 : 1 on near-black."""

FAINT = "rgba(128, 128, 128, 0.22)"
"""Grid lines: visible on both."""

# Okabe and Ito 2008, Color Universal Design: without black, lost on a dark page, and yellow, lost on a light one; the blue a little
# lighter than theirs for the dark page.
PALETTE = ("#1B80C0", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MARKERS = (
    *("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon"),
    *("triangle-down", "x", "pentagon", "hourglass", "star-diamond", "bowtie"),
)

LEGEND_WHERE_NARROW = {"legend": "narrow"}
"""The `meta` of a layout whose names stand at the ends of lines; on a narrow screen they stand in a legend below instead."""

LAW_COLOURS = (NEUTRAL, "#D55E00", "#8C6BB1", "#2A9D8F", "#C2942B", "#C0568E", "#4C86C6")


@dataclass(frozen=True)
class Look:
    """Holds a colour and a marker."""

    colour: str
    marker: str


def labels(table: pd.DataFrame, among: pd.DataFrame | None = None) -> pd.Series:
    """Name each row for a legend: by its `model`, and by its family before it where the figure has several.

    among: what the figure is of, where `table` is a part of that.
    """
    models, whole = table["model"].astype(str), table if among is None else among
    if "family" not in whole or whole["family"].nunique() < 2:
        return models
    return table["family"].astype(str) + " " + models


def looks(table: pd.DataFrame, among: pd.DataFrame | None = None) -> dict[str, Look]:
    """Choose a look for each of the `labels` of the table, small models first (by `params` where known, else in order of appearance).

    A colour says the size, see `analysis.figures.colours`; of several families each has a hue. Where the size is not known, it is one of a
    list. A marker is the place among the models.

    among: all runs of the study, those to come as well: then a marker, too, stays when runs arrive.
    """
    whole = table if among is None or "model" not in among else among
    named = [name for name in ("family", "model", "params") if name in whole]
    rows = [part.reindex(columns=named).assign(label=labels(part, whole)) for part in (whole, table)]
    models = pd.concat(rows, ignore_index=True).drop_duplicates("label").reset_index(drop=True)
    models["size"] = pd.to_numeric(models["params"], errors="coerce") if "params" in models else np.nan
    if models["size"].notna().all():
        models = models.sort_values("size", kind="stable")
    several = "family" in models and models["family"].nunique() > 1
    families = sorted(models["family"].astype(str).unique()) if several else []
    names = list(dict.fromkeys(models["model"]))
    found, shown = {}, set(labels(table, whole))
    for number, row in enumerate(models.to_dict("records")):
        family = families.index(str(row["family"])) if several else None
        listed = PALETTE[(number if family is None else family) % len(PALETTE)]
        colour = size_colour(float(row["size"]), family) if row["size"] > 0 else listed
        if row["label"] in shown:
            marker = names.index(row["model"]) if several else number
            found[str(row["label"])] = Look(colour, _MARKERS[marker % len(_MARKERS)])
    if several:  # in the legend a family stands together
        of_label = dict(zip(models["label"].astype(str), models["family"].astype(str), strict=True))
        found = dict(sorted(found.items(), key=lambda entry: families.index(of_label[entry[0]])))
    return found


def translucent(colour: str, alpha: float) -> str:
    """Make a colour translucent: `#0072B2`, 0.2 → `rgba(0, 114, 178, 0.2)`."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def layout(*, revision: Iterable[str], **more: object) -> dict[str, object]:
    """Return the layout of every figure.

    revision: what the figure is of; while it stays the same, an update keeps the zoom.
    """
    return {
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": NEUTRAL},
        "margin": {"l": 70, "r": 24, "t": 24, "b": 60},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "legend": {
            "x": 0.99,
            "y": 0.99,
            "xanchor": "right",
            "yanchor": "top",
            "bgcolor": "rgba(0, 0, 0, 0)",
            "tracegroupgap": 4,
        },
        "uirevision": " ".join(revision),
        "template": "none",
        **more,
    }
