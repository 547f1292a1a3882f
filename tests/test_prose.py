"""README.md and docs/*.md are written in short sentences: none has more than 35 words.

`python tests/test_prose.py` prints the longest sentences of each page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_WORDS = 35

FENCE = re.compile(r"^\s*(?:```|~~~)")
BLOCK_START = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+|^\s*>\s?")
RULE = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$")
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
QUOTED = re.compile(r"<!-- cases.*?<!-- end of cases -->", re.S)
"""What `benchmarks/strangers.py` puts on a page: messages of the program, quoted."""
COMMENT = re.compile(r"<!--.*?-->|</?[a-z][^>]*>")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)*_]*\s+(?=[\"'“‘(*_]*[^a-z\s])")
ABBREVIATED = re.compile(r"\b(?:e\.g|i\.e|cf|vs|al|fig|[A-Z])\.$")


class Sentence(NamedTuple):
    page: str
    line: int
    words: int
    text: str


def blocks(text: str) -> list[tuple[int, str]]:
    """Splits Markdown into (line number, text): paragraphs, list items and table cells; no code, no headings, no figures."""
    found: list[tuple[int, str]] = []
    lines: list[str] = []
    first = 0
    fenced = False

    def close() -> None:
        if lines:
            found.append((first, " ".join(lines)))
        lines.clear()

    text = QUOTED.sub(lambda quoted: "\n" * quoted[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            close()
            fenced = not fenced
            continue
        if fenced:
            continue
        if not line.strip() or line.lstrip().startswith("#") or RULE.match(line):
            close()
            continue
        if line.lstrip().startswith("|"):
            close()
            cells = re.split(r"(?<!\\)\|", CODE.sub("Code", line.strip().strip("|")))
            found += [(number, cell.strip()) for cell in cells if cell.strip()]
            continue
        if BLOCK_START.match(line):
            close()
            line = BLOCK_START.sub("", line)
        if not lines:
            first = number
        lines.append(line.strip())
    close()
    return found


def plain(text: str) -> str:
    """Text as it is read: a link is its words, a span of code is one word, comments and tags are nothing. Either may begin a sentence."""
    linked = LINK.sub(lambda link: link[1][:1].upper() + link[1][1:], CODE.sub("Code", text))
    return COMMENT.sub(" ", linked)


def test_what_a_sentence_is():
    page = '# A heading\n\nOne. `code` is two, e.g. [this one](a.md "b. C.").\n[three](x)\nends?\n\n```sh\nno. Code.\n```\n- item\n- last\n\n| a. B | c |\n|---|---|\n'
    found = [each for _, block in blocks(page) for each in sentences(block)]
    assert found == ["One.", "Code is two, e.g. This one.", "Three ends?", "item", "last", "a.", "B", "c"]
    assert [line for line, _ in blocks(page)] == [3, 10, 11, 13, 13]
    assert words("a – b, `c`.") == 3


def sentences(text: str) -> list[str]:
    found: list[str] = []
    for piece in SENTENCE_END.split(plain(text)):
        if found and ABBREVIATED.search(found[-1]):
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found


def words(sentence: str) -> int:
    return sum(any(character.isalnum() for character in word) for word in sentence.split())


def of_page(path: Path) -> list[Sentence]:
    return [
        Sentence(path.name, line, words(sentence), sentence)
        for line, block in blocks(path.read_text())
        for sentence in sentences(block)
        if words(sentence)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_sentence_is_long(path):
    found = of_page(path)
    assert len(found) >= 5, "the page is read as prose"
    long = sorted((each for each in found if each.words > MOST_WORDS), key=lambda each: -each.words)
    assert not long, "\n".join(f"{each.page}:{each.line}: {each.words} words: {each.text}" for each in long[:10])


if __name__ == "__main__":
    for page in PAGES:
        counts = sorted(each.words for each in of_page(page))
        over = sum(count > MOST_WORDS for count in counts)
        print(f"{page.name}: {len(counts)} sentences, p90 {counts[int(0.9 * len(counts))]}, longest {counts[-1]}, {over} too long")
