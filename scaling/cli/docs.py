"""`scaling docs`: the pages of the documentation, which come with the package."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.output import print_text
from scaling.errors import UnknownName

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["EXAMPLES", "docs_command", "pages", "section_of"]

EXAMPLES = """
scaling docs                          # which pages there are

scaling docs experiments              # every field of an experiments file

scaling docs refused#too-few-points   # one section: what a line `why:` names
"""

_HEADING = re.compile(r"^(#{1,6}) +(.*?) *$", re.M)


def docs_command(
    page: Annotated[str | None, typer.Argument(metavar="[PAGE[#SECTION]]", help="A page, or one section of it.")] = None,
) -> None:
    """Print a page of the documentation, or one section of it; without a name, list the pages."""
    found = pages()
    if page is None:
        width = max(map(len, found))
        print_text("".join(f"{name.ljust(width)}   {_HEADING.search(text)[2]}\n" for name, text in found.items()))  # type: ignore[index]
        return
    name, _, section = page.removeprefix("docs/").partition("#")
    name = name.removesuffix(".md")
    if name not in found:
        raise UnknownName("page", name, found)
    print_text(section_of(found[name], section) if section else found[name])


def pages() -> dict[str, str]:
    """Read the pages: name → text. The wheel has them inside the package; in the source tree they are the files of docs/."""
    packaged: Traversable = files("scaling") / "docs"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs"
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".md"))
    return {name.removesuffix(".md"): entry.read_text(encoding="utf-8") for name, entry in found}


def section_of(text: str, section: str) -> str:
    """Return the text below a heading, with the heading, up to the next one of its level or above. Raises `UnknownName`.

    section: as links spell it, `too-few-points`; of headings that are spelled alike the second is `too-few-points-1`.
    """
    headings = list(_HEADING.finditer(_without_code(text)))
    spelled = [re.sub(r"[^\w -]", "", found[2].lower()).replace(" ", "-") for found in headings]
    anchors = [f"{each}-{times}" if (times := spelled[:place].count(each)) else each for place, each in enumerate(spelled)]
    if section not in anchors:
        raise UnknownName("section", section, anchors)
    place = anchors.index(section)
    depth = len(headings[place][1])
    end = next((found.start() for found in headings[place + 1 :] if len(found[1]) <= depth), len(text))
    return text[headings[place].start() : end].rstrip() + "\n"


def _without_code(text: str) -> str:
    """Return the text with blanks for blocks of code, whose comments look like headings."""
    return re.sub(r"^```.*?^```", lambda block: re.sub(r"[^\n]", " ", block[0]), text, flags=re.M | re.S)
