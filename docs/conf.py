"""Settings of the documentation as a site: `sphinx-build -W docs build/docs`.

The pages are plain Markdown, as `scaling docs` prints them. What the site needs beyond that is made here from the pages themselves: the
navigation from the lists of index.md, and pictures for a dark theme from files called NAME_dark beside NAME.
"""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

DOCS = Path(__file__).parent

project = "scaling"
version = release = version_of("scaling")
copyright = "the authors of scaling; Apache License 2.0"
extensions = ["myst_parser"]
exclude_patterns = ["reference", "**/__pycache__"]
html_theme = "furo"
html_title = f"scaling {version}"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_sphinx = False
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings: list[str] = []

_SECTION = re.compile(r"^## (.+)$", re.M)
_PAGE = re.compile(r"^- \[[^\]]+\]\((\w+)\.md\)", re.M)


def navigation(index: str) -> str:
    """Make the tables of contents of the site from the lists of index.md: a section each, of the pages that it links."""
    _, *parts = _SECTION.split(index)
    made = [
        f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n"
        for title, body in zip(parts[::2], parts[1::2], strict=True)
        if (pages := _PAGE.findall(body))
    ]
    return "\n".join(made)


def _add_navigation(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == "index":
        source[0] += "\n" + navigation(source[0])


def _add_dark_pictures(app: Sphinx, document: nodes.document) -> None:
    """Show NAME_dark in place of NAME where the reader's theme is dark."""
    for image in list(document.findall(nodes.image)):
        path = Path(image["uri"])
        dark = path.with_name(f"{path.stem}_dark{path.suffix}")
        if path.stem.endswith("_dark") or not (DOCS / dark).is_file():
            continue
        other = image.copy()
        other["uri"] = str(dark)
        image["classes"].append("only-light")
        other["classes"].append("only-dark")
        image.parent.insert(image.parent.index(image) + 1, other)


def _reach_by_keyboard(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _document: nodes.document | None) -> None:
    """Let the keyboard reach what scrolls in itself, and give the headings of the navigation a level, which the theme leaves out."""
    body = context.get("body", "").replace("<pre>", '<pre tabindex="0">')
    context["body"] = body.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
    context["furo_navigation_tree"] = context["furo_navigation_tree"].replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> None:
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", _add_navigation)
    app.connect("html-page-context", _reach_by_keyboard, priority=900)  # after the theme has made its navigation
    app.connect("doctree-read", _add_dark_pictures, priority=100)  # before Sphinx collects the pictures that it copies
