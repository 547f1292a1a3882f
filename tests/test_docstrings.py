"""Every docstring's first sentence stands alone: it begins with a verb, and is short enough to be read once."""

import ast
import itertools
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
NO_SUBJECT = frozenset(["as", "at", "because", "by", "for", "from", "in", "of", "on", "than", "under", "with", "within", "without"])
"""Words with which a sentence about a constant does not begin: it would go on from a name, and cannot be read alone."""


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


def constants(path):
    for node in ast.walk(ast.parse(path.read_text())):
        body = getattr(node, "body", None)
        for named, text in itertools.pairwise(body if isinstance(body, list) else []):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
            if is_text and isinstance(named, ast.Assign | ast.AnnAssign):
                yield text.lineno, text.value.value


@pytest.mark.parametrize("package", PACKAGES)
def test_sentences_about_constants_stand_alone(package):
    found = [(path, *each) for path in (ROOT / package).rglob("*.py") for each in constants(path)]
    assert len(found) > 3
    faults = [f"{path}:{line}: {text}" for path, line, text in found if text.split()[0].strip("`,.:;()").lower() in NO_SUBJECT]
    assert not faults, "\n".join(faults)
