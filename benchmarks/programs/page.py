"""The snippets of docs/programs.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["PAGE", "snippet"]

PAGE = Path(__file__).parents[2] / "docs" / "programs.md"


def snippet(heading: str) -> str:
    """Return the first Python block below a heading of the page. Raises `LookupError` where there is none."""
    text = PAGE.read_text()
    _, found, section = text.partition(f"\n## {heading}\n")
    block = re.search(r"```python\n(.*?)```", section.partition("\n## ")[0], re.S)
    if not found or block is None:
        raise LookupError(f"{PAGE.name} has no Python below '## {heading}'")
    return block[1]
