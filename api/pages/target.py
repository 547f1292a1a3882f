"""What `/frontier` says of a target: the metric there, the best model, its price, for one compute and for a grid of them."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from analysis import Fit, Frontier, Outlook, Regret, outlook
from analysis.outlook import round_computes
from analysis.questions import ViewQuestion
from api.studies import usual_target

__all__ = ["AHEAD", "target"]

AHEAD = 10.0
"""How far beyond the largest run the target can be moved, and the law is drawn."""


def target(question: ViewQuestion, fit: Fit, frontier: Frontier, regret: Regret) -> dict[str, Any]:
    """Make what the panel of the target shows: `outlook` at the target of the link, and `grid`, the JSON from which it is moved.

    A compute of the grid has what is shown there, in words, besides what its choice costs at most: that is fetched.
    """
    found = outlook(fit, frontier, regret, [question.at or usual_target(fit)])
    low, high = fit.x_range
    places = outlook(fit, frontier, regret, round_computes(low, AHEAD * high), bounds=False)
    return {"outlook": found, "at": float(found.table["at"].iloc[0]), "grid": _grid(places)}


def _grid(places: Outlook) -> Markup:
    rows = [
        {
            "at": row["at"],
            "value": row["value"],
            **{name: text for name, text in places.words(number).items() if name not in ("at", "most")},
        }
        for number, row in enumerate(places.table[["at", "value"]].to_dict("records"))
    ]
    return Markup(json.dumps(rows, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026"))
