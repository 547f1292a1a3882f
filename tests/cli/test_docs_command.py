"""`scaling docs` prints the pages, and whatever the product tells people to read or type is there for one who has only the wheel."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.experiments_file.drafts import shipped
from scaling.cli.app import app
from scaling.cli.docs import pages, section_of
from scaling.errors import UnknownName
from scaling.refusals import PAGE, SECTIONS

ROOT = Path(__file__).parents[2]
PACKAGES = ("scaling", "orchestrator", "trainer", "analysis", "api")
OUTSIDE = re.compile(r"(?<![/\w.])(?:\./)?(?:docs|experiments|benchmarks|deploy|tests)/[\w.-]+\.(?:md|yaml|csv|py|sh)|README")
NAMED = re.compile(r"scaling docs ([\w-]+)(?:#([\w-]+))?")


def told(*words):
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@cache
def texts():
    """Every text of the product that people may see: (file, text). Of docstrings only those of commands, which are their help."""
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        helps = [node.body[0] for node in nodes if isinstance(node, ast.FunctionDef) and node.name.endswith("_command")]
        unseen = {id(node.value) for node in nodes if isinstance(node, ast.Expr) and node not in helps}
        strings = (node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
        found += [(path, node.value) for node in strings if id(node) not in unseen]
    pages_of_html = (path for package in PACKAGES for path in (ROOT / package).rglob("*.html"))
    return found + [(path, re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.S)) for path in pages_of_html]


def test_no_text_points_to_a_file_that_is_not_installed():
    found = [(str(path.relative_to(ROOT)), match[0]) for path, text in texts() if (match := OUTSIDE.search(text))]
    assert not found
    for name in ("experiments.yaml", "my_models.py", "my_models.yaml"):  # which `scaling init` writes
        assert not OUTSIDE.search(shipped(name))


def test_every_section_that_is_named_is_there():
    known = pages()
    named = {match.groups() for _, text in texts() for match in NAMED.finditer(text)}
    named |= {(PAGE.split()[-1], section) for section in SECTIONS}
    assert ("experiments", None) in named
    for page, section in named:
        assert page in known, page
        if section:
            assert section_of(known[page], section).startswith("#")


def test_the_wheel_holds_every_page_and_the_default_file():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    expected = {f"docs/{path.name}": f"scaling/docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    first = {"experiments.yaml", "experiments/my_models.py", "experiments/my_models.yaml"}
    assert included == {file: f"orchestrator/first_files/{Path(file).name}" for file in first} | expected


def test_pages_are_listed_and_printed():
    assert [line.split()[0] for line in told("docs").splitlines()] == sorted(pages())
    text = (ROOT / "docs" / "refused.md").read_text()
    for name in ("refused", "refused.md", "docs/refused.md"):
        assert told("docs", name) == text
    section = told("docs", "refused#too-few-points")
    assert section.startswith("## Too few points\n")
    assert section.count("\n## ") == 0
    assert section.strip() in text


@pytest.mark.parametrize(("page", "nearest"), [("refuse", "refused"), ("refused#to-few-points", "too-few-points")])
def test_what_is_not_there_is_named(page, nearest):
    with pytest.raises(UnknownName, match=f'did you mean "{nearest}"'):
        told("docs", page)


def test_a_comment_of_a_block_of_code_is_no_heading():
    text = "# Page\n\n## One\n\n```sh\n# not a heading\n```\n\nmore\n\n## Two\n"
    assert section_of(text, "one") == "## One\n\n```sh\n# not a heading\n```\n\nmore\n"
    with pytest.raises(UnknownName):
        section_of(text, "not-a-heading")
