"""How answers look in HTML, for the pages and the report alike: number formats, parts of a page, colours, the script that draws charts.

| file | what it holds |
|---|---|
| `filters` | numbers, names and sentences as HTML |
| `left_out` | runs that were not used, by reason |
| `templates/` | parts of a page as Jinja macros |
| `static/` | `look.css`, `parts.css`; `charts.js` draws the figures, `tables.js` sorts |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.presentation.filters import FILTERS, prose_with_links

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["STATIC", "environment", "figure_json", "static"]

STATIC = ("charts.js", "look.css", "parts.css", "tables.js")


def environment(loader: BaseLoader, *, runs: str) -> Environment:
    """Make the Jinja environment for templates of `loader`, which may import the parts here.

    `runs`: what a link to a run begins with, before its id.
    """
    from analysis.figures.style import FAINT, NEUTRAL

    made = Environment(
        loader=ChoiceLoader([loader, PackageLoader("analysis.presentation")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS | {"prose": prose_with_links(runs)}
    made.globals |= {"figure_tokens": {"neutral": NEUTRAL, "faint": FAINT}, "runs": runs}
    return made


def figure_json(figure: Figure | Mapping[str, object]) -> Markup:
    """Write a figure for a `<script type="application/json">`: no `<` in it can end the element early."""
    text = json.dumps(figure, allow_nan=False) if isinstance(figure, Mapping) else str(figure.to_json())
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


def static(name: str) -> bytes:
    """Read one of the files of `STATIC`."""
    return files("analysis.presentation").joinpath("static", name).read_bytes()
