"""What a contributor meets first: the files that guide one are whole, name what exists, and ask for what `.ci/run` asks for."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CI = (ROOT / ".ci" / "run").read_text()
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
YAML = [ROOT / ".pre-commit-config.yaml", ROOT / ".github" / "workflows" / "ci.yml", ROOT / "CITATION.cff", *TEMPLATES]
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/versioning.md")
ROOMS = ("analysis", "api", "benchmarks", "deploy", "docs", "experiments", "orchestrator", "scaling", "tests", "trainer")
MOST_WORDS = 35
MOST_LINES = {"CONTRIBUTING.md": 120, "SECURITY.md": 35, "docs/architecture.md": 160}


def text(name):
    return (ROOT / name).read_text()


def loaded(path):
    return yaml.safe_load(path.read_text())


def named_in(page):
    """Paths that a page names as code or links to, without those with a placeholder in capitals: `analysis/laws/NAME.py`."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text(page), flags=re.M | re.S))
    paths = {span.partition("::")[0] for span in spans if re.fullmatch(rf"(?:(?:{'|'.join(ROOMS)})/|\.)[\w./-]+(?:::\w+)?", span)}
    paths |= {span for span in spans if re.fullmatch(r"[\w.-]+\.(?:md|toml|cff)", span) and "/" not in span}
    return {path for path in paths if not re.search(r"NAME|NNNN", path)}


def sentences(page):
    """Sentences of a page's text: cells of tables, items of lists, paragraphs. No code, no links' addresses."""
    plain = re.sub(r"^```.*?^```", "\n", text(page), flags=re.M | re.S)
    plain = re.sub(r"\]\([^)]*\)", "]", plain)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) ?)|\|", plain)
    return [
        each for block in blocks for each in re.split(r"(?<=[.?!])\**\s+(?=\S)", " ".join(block.split()).strip("-*#| ")) if each
    ]


@cache
def functions(file):
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_it_is_yaml(path):
    assert isinstance(loaded(path), dict)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    assert [path for path in named_in(page) if not (ROOT / path).exists()] == []
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text(page))
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text(page)):
        assert name in functions(file), f"{file}::{name}"


def test_the_paths_are_found():
    """Else the test above would look for nothing."""
    assert {"analysis/questions/", "tests/analysis/test_laws.py", ".ci/run", "pyproject.toml"} <= named_in("CONTRIBUTING.md")
    assert {"orchestrator/main_job.py", "scaling/cli/closing.py", "analysis/figures/"} <= named_in("docs/architecture.md")
    assert max(len(each.split()) for each in sentences("CONTRIBUTING.md")) > 15


def test_the_map_has_a_row_for_each_thing():
    rows = [line.split(" | ") for line in text("CONTRIBUTING.md").splitlines() if line.startswith("| a")]
    assert {row[0].removeprefix("| ") for row in rows} >= {
        "a law", "a two-input law", "a page", "a question's parameter", "a model family", "an optimiser", "a learning-rate schedule",
        "a reader of images", "a reader of tables", "an accelerator", "a scheduler rule", "a command", "a refusal", "a status", "a column",
        "a migration", "a trainer", "a docs page",
    }  # fmt: skip
    assert all(len(row) == 4 for row in rows)


@pytest.mark.parametrize("page", PAGES)
def test_sentences_are_short_and_pages_too(page):
    assert [each for each in sentences(page) if len(each.split()) > MOST_WORDS] == []
    assert len(text(page).splitlines()) <= MOST_LINES.get(page, 60)


def test_the_pages_are_linked_from_the_readme():
    assert [page for page in PAGES if f"]({page})" not in text("README.md")] == []


def test_the_workflow_runs_what_a_contributor_runs():
    workflow = loaded(ROOT / ".github" / "workflows" / "ci.yml")
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    assert 15 < job["timeout-minutes"] <= 60
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
    oldest = re.search(r"\d+\.\d+", tomllib.loads(text("pyproject.toml"))["project"]["requires-python"])[0]
    pythons = job["strategy"]["matrix"]["python"]
    assert pythons[0] == oldest
    assert len(pythons) == 2


def test_the_hooks_are_those_of_ci_and_need_nothing_from_elsewhere():
    config = loaded(ROOT / ".pre-commit-config.yaml")
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = {hook["id"]: hook for hook in config["repos"][0]["hooks"]}
    assert set(hooks) == {"ruff-check", "ruff-format", "lint-imports", "mypy"}
    for hook in hooks.values():
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False
        assert re.search(rf"^{re.escape(hook['entry'])}(?:$| >)", CI, re.M), hook["entry"]
        assert shlex.split(hook["entry"])[0] in {"ruff", "lint-imports", "mypy"}
    assert hooks["mypy"]["stages"] == ["pre-push"]


def test_what_ci_needs_is_what_the_page_says():
    (packages,) = {tuple(re.findall(r"need\+=\(([\w-]+)\)", CI))}
    assert len(packages) == 3
    assert [name for name in packages if f"`{name}`" not in text("CONTRIBUTING.md")] == []


def test_the_citation_is_of_this_version():
    """CFF 1.2.0 asks for the first four; of each reference for authors, a title and a type."""
    citation, project = loaded(ROOT / "CITATION.cff"), tomllib.loads(text("pyproject.toml"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert (str(citation["version"]), citation["license"]) == (project["version"], project["license"])
    assert all(set(author) & {"name", "family-names"} for author in citation["authors"])
    (study,) = citation["references"]
    assert {"authors", "title", "type"} <= set(study)
    assert "2310.16764" in study["url"]


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path.name != "config.yml"], ids=lambda path: path.name)
def test_an_issue_form_asks_for_what_is_needed(path):
    form = loaded(path)
    assert {"name", "description", "body"} <= set(form)
    fields = {field["id"]: field for field in form["body"]}
    assert len(fields) == len(form["body"])
    assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in fields.values())
    assert "scaling --version" in fields["version"]["attributes"]["description"]
    needed = {name for name, field in fields.items() if field.get("validations", {}).get("required")}
    wanted = {
        "bug.yml": {"version", "command", "message"},
        "wrong_number.yml": {"version", "table", "command", "printed", "expected"},
        "feature.yml": {"question"},
    }
    assert needed >= wanted[path.name]
    assert "schema" in fields or path.name == "feature.yml"
