"""What the wheel asks for: whatever the product imports, also inside functions, comes with it."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("scaling", "orchestrator", "trainer", "analysis", "api")
OPTIONAL = {"psycopg"}  # of an extra, imported where a user asks for it


def needed(of: str) -> set[str]:
    """Distributions that one requires, without its extras."""
    return {named(line) for line in requires(of) or () if "extra ==" not in line}


def named(requirement: str) -> str:
    return re.split(r"[\s\[(<>=!~;]", requirement)[0].lower().replace("_", "-")


def imported(file: Path) -> set[str]:
    """Top-level modules of all absolute imports of a file."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    from_modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in plain | from_modules}


def test_every_import_is_a_requirement():
    """Without the packages of the tests: an environment that has only the wheel's own requirements can run all of the product."""
    declared = needed("scaling")
    come_along = declared.union(*(needed(name) for name in declared))
    known = packages_distributions()
    missing = {}
    for file in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for module in imported(file) - set(PACKAGES) - sys.stdlib_module_names - OPTIONAL:
            if not come_along & {named(distribution) for distribution in known.get(module, [])}:
                missing.setdefault(module, str(file.relative_to(ROOT)))
    assert not missing
