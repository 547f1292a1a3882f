"""The blocks of docs/ between `<!-- made by: COMMAND -->` and `<!-- end -->` are what their commands print from the committed files."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def load_refresh():
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


refresh = load_refresh()
BLOCKS = [(page.name, block) for page in PAGES for block in refresh.BLOCK.finditer(page.read_text())]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[f"{page}: {block['command']}" for page, block in BLOCKS])
def test_a_block_is_what_its_command_prints(page, block):
    new = refresh.made(block)
    assert refresh.agree(block["shown"], new, block["command"]), (
        f"docs/{page} is stale; `python docs/refresh.py` makes it anew. `{block['command']}` prints\n{new}"
    )


def test_the_readme_counts_the_faults_that_there_are():
    text = (ROOT / "README.md").read_text()
    assert len(refresh.FAULTS.findall(text)) == 2
    assert refresh.with_faults(text) == text, "`python docs/refresh.py` counts them anew"
    stale = refresh.FAULTS.sub("7", text)
    assert stale != text == refresh.with_faults(stale)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_marker_belongs_to_a_block(page):
    text = page.read_text()
    blocks = list(refresh.BLOCK.finditer(text))
    assert len(blocks) == text.count("<!-- made by:"), "a block ends with `<!-- end -->`"
    assert not [block for block in blocks if "<!--" in block["shown"]]


def test_every_committed_csv_that_a_page_names_has_a_block():
    commands = {
        name: " ".join(block["command"] for page, block in BLOCKS if page == name) for name in {page.name for page in PAGES}
    }
    named = 0
    studies = [ROOT / "docs" / f"{name}.csv" for name in ("fashion_mnist", "rivals", "rivals_recipes", "leaks")]
    for path in [*(ROOT / "benchmarks").glob("*.csv"), *studies]:
        program = path.stem.removesuffix("_rounds")
        for page in PAGES:
            if re.search(rf"(?:(?<![\w/])|benchmarks/|docs/){program}\.(py|csv)\b", page.read_text()):
                named += 1
                assert program in commands[page.name], f"docs/{page.name} names {path.name}, and makes no table from it"
    assert named >= 10


FITTED, READ = "scaling fit --data x.csv", "python benchmarks/x.py table"


@pytest.mark.parametrize(
    ("command", "shown", "new", "same"),
    [
        (FITTED, " E   0.3755  floor", " E  0.3756  floor", True),
        (FITTED, "p 9.5e-06 ────", "p 9.6e-06 ─────", True),
        (FITTED, " E   0.3932  floor", " E  0.3757  floor", False),
        (FITTED, "p 9.5e-06", "p 9.5e-05", False),
        (FITTED, "16 runs in 8 cells", "17 runs in 8 cells", False),
        (FITTED, "0.0 to 1.5", "0.0 to -1.5", False),
        (FITTED, "A 0.5\nB 0.5", "A 0.5", False),
        (FITTED, "identified 0.5", "not identified 0.5", False),
        (READ, "| 0.3755 |", "| 0.3756 |", False),
        (READ, "| 0.3755 |", "| 0.3755 |", True),
    ],
)
def test_what_counts_as_the_same(command, shown, new, same):
    assert refresh.agree(shown, new, command) is same


def test_a_stale_block_is_made_anew_and_a_good_one_stays():
    block = next(block for page, block in BLOCKS if page == "clusters.md")
    stale = refresh.BLOCK.fullmatch(block[0].replace(block["shown"], "\n| said before |\n"))
    assert refresh.remade(stale) == refresh.remade(block) == block[0]
