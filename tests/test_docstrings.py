"""Every docstring's first sentence stands alone: it begins with a verb, and is short enough to be read once."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("scaling", "orchestrator", "trainer", "analysis", "api")
MOST_WORDS = 35
NO_VERB = frozenset(
    [
        "a",
        "all",
        "among",
        "an",
        "another",
        "another's",
        "any",
        "as",
        "at",
        "because",
        "between",
        "both",
        "by",
        "cells",
        "each",
        "either",
        "every",
        "few",
        "for",
        "from",
        "how",
        "if",
        "in",
        "it",
        "its",
        "many",
        "most",
        "neither",
        "no",
        "none",
        "nor",
        "numbers",
        "of",
        "on",
        "one",
        "only",
        "other",
        "others",
        "parameters",
        "pixels",
        "plain",
        "rows",
        "same",
        "some",
        "steps",
        "than",
        "that",
        "the",
        "their",
        "these",
        "they",
        "this",
        "those",
        "three",
        "to",
        "two",
        "under",
        "what",
        "when",
        "where",
        "whether",
        "which",
        "who",
        "whose",
        "why",
        "with",
        "within",
        "without",
    ]
)
"""Words with which a sentence about a function or a class does not begin: the verb would come late, or not at all."""


def documented(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
            yield node, text


@pytest.mark.parametrize("package", PACKAGES)
def test_first_sentences_begin_with_a_verb(package):
    files = [path for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts]
    found, faults = 0, []
    for path in files:
        for node, text in documented(path):
            found += 1
            first = re.split(r"(?<=[.!?:])\s", " ".join(text.split()))[0]
            word = text.split()[0].strip("`,.:;()\"'").lower()
            if word in NO_VERB or text[0] in "`(" or len(first.split()) > MOST_WORDS:
                faults.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {first}")
    assert found > 50
    assert not faults, "\n".join(faults)
