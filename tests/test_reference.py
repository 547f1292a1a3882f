"""The reference pages name every key, command, route, function, law, code and column, as the code has them now.

tests/test_docs_tables.py holds them to the letter. Here the names are taken from elsewhere than the pages' own scripts take them.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

import scaling
from analysis.diagnostics import DiagnosticCode
from analysis.laws import law_named, law_names
from api.app import create_app
from docs.reference import PARTS
from docs.reference.docstrings import meanings
from docs.reference.keys import _section
from orchestrator.experiments_file.fields import Spec
from scaling import errors
from scaling.cli.app import app
from scaling.columns import RECIPE_COLUMNS, RUN_COLUMNS
from scaling.outcomes import AttemptOutcome, FitStatus, OptimumStatus, RunStatus
from trainer import data, optimizers, schedules

DOCS = Path(__file__).parents[1] / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def models_of(kind: type[BaseModel], seen: dict[type[BaseModel], None]) -> dict[type[BaseModel], None]:
    """Every model that a model's annotations lead to."""
    if kind not in seen:
        seen[kind] = None
        for field in kind.model_fields.values():
            for inside in annotations_in(field.annotation):
                if isinstance(inside, type) and issubclass(inside, BaseModel):
                    models_of(inside, seen)
    return seen


def annotations_in(annotation):
    yield annotation
    for each in get_args(annotation):
        yield from annotations_in(each)


def test_every_key_of_the_file_has_a_row():
    text = page("keys")
    kinds = models_of(Spec, {})
    assert len(kinds) > 20
    for kind in kinds:
        for name, field in kind.model_fields.items():
            assert f"\n| `{field.alias or name}` | " in text, (kind.__name__, name)
    for name in data.names():
        for key in data.options_of(name):
            assert f"\n| `{name}` | `{key}` | " in text
    for kind in [*map(optimizers.optimizer_class, optimizers.names()), *map(schedules.schedule_class, schedules.names())]:
        assert f"\n| `{kind.name}` | " in text


def test_a_key_of_which_the_code_says_nothing_is_refused():
    class Field(BaseModel):
        """Says how.

        known: what it is.
        """

        known: int
        silent: int = 1

    with pytest.raises(SystemExit, match="says nothing of silent"):
        _section(Field, Field.model_json_schema(), {})


def test_fields_are_found_in_docstrings():
    class Base(BaseModel):
        """Is one. under: of the base; over: there."""

        under: int
        over: int

    class Field(Base):
        """Holds two things, of which: none is a field.

        one, two: a number; λ of it.
            It goes on. three: another. over: here.
        """

        one: int
        two: int
        three: int

    assert meanings(Field) == {
        "under": "Of the base.",
        "over": "Here.",
        "one": "A number; λ of it. It goes on.",
        "two": "A number; λ of it. It goes on.",
        "three": "Another.",
    }


def test_every_command_and_option_is_described():
    text = page("commands")
    for command in app.registered_commands:
        section = text.partition(f"\n## `scaling {command.name}`\n")[2].partition("\n## ")[0]
        assert section.count("```sh\n") == 1, command.name
        options = re.findall(r"^\| (?:`[^`]+`, )*`(--[a-z-]+)", section, re.M)
        source = Path(command.callback.__code__.co_filename).read_text()
        for option in re.findall(r'"(--[a-z-]+)"', source):
            assert option in options or option in text, (command.name, option)


def test_every_route_is_described():
    text = page("http")
    for path, methods in create_app("scaling.db").openapi()["paths"].items():
        for method in methods:
            assert f"\n## `{method.upper()} {path}`\n" in text


def test_every_function_is_described():
    text = page("functions")
    assert [name for name in scaling.__all__ if f"\n## `scaling.{name}`\n" not in text] == []


def test_every_law_has_its_coefficients():
    text = page("laws")
    for law in map(law_named, law_names()):
        section = text.partition(f"\n## `{law.name}`\n")[2].partition("\n## ")[0]
        assert law.formula in section
        assert all(f"| `{letter}` | " in section for letter in law.coefficients)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("codes", DiagnosticCode),
        ("columns", RunStatus),
        ("columns", AttemptOutcome),
        ("columns", FitStatus),
        ("columns", OptimumStatus),
    ],
)
def test_every_code_has_its_advice(name: str, kind: type[Enum]):
    text = page(name)
    assert [code.value for code in kind if f"| `{code.value}` | {code.advice} |" not in text] == []


def test_every_error_and_column_is_listed():
    text = page("codes")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ScalingError)]
    assert len(kinds) > 10
    for kind in kinds:
        assert re.search(rf"\| `{re.sub('(?<=[a-z])(?=[A-Z])', '-', kind.__name__).lower()}` \| {kind.exit_code} \|", text), kind
    for column in (*RUN_COLUMNS, *RECIPE_COLUMNS):
        assert f"| `{column.name}` | " in page("columns")


def test_every_part_is_on_a_page():
    texts = "".join(path.read_text() for path in DOCS.glob("*.md"))
    assert [part for part in PARTS if f"made by: python -m docs.reference {part}" not in texts] == []
