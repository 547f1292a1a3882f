"""What the wheel asks for: whatever the product imports, also inside functions, comes with it or with an extra that an error names."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from scaling.extras import EXTRA_OF

ROOT = Path(__file__).parent.parent
PACKAGES = ("scaling", "orchestrator", "trainer", "analysis", "api")


def needed(of: str) -> set[str]:
    """Distributions that one requires, without its extras."""
    return {named(line) for line in requires(of) or () if "extra ==" not in line}


def of_extra(extra: str) -> set[str]:
    """Distributions that one of our extras asks for, those of the extras in it too."""
    return {named(line) for line in requires("scaling") or () if re.search(rf"extra == ['\"]{extra}['\"]", line)}


def named(requirement: str) -> str:
    return re.split(r"[\s\[(<>=!~;]", requirement)[0].lower().replace("_", "-")


def imported(file: Path) -> set[str]:
    """Top-level modules of all absolute imports of a file."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    from_modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in plain | from_modules}


def test_every_package_says_that_it_is_typed():
    """Else a user's type checker sees `Any` in place of all of it. `.ci/run` looks for the same in the wheel."""
    assert [package for package in PACKAGES if not (ROOT / package / "py.typed").exists()] == []


def test_every_import_is_a_requirement():
    """Without the packages of the tests: an environment that has only the wheel's own requirements can run all of the product."""
    declared = needed("scaling")
    come_along = declared.union(*(needed(name) for name in declared))
    known = packages_distributions()
    missing = {}
    for file in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for module in imported(file) - set(PACKAGES) - sys.stdlib_module_names - set(EXTRA_OF):
            if not come_along & {named(distribution) for distribution in known.get(module, [])}:
                missing.setdefault(module, str(file.relative_to(ROOT)))
    assert not missing


def test_what_is_in_an_extra_is_not_asked_for_by_all_and_is_under_test():
    known, all_tested = packages_distributions(), of_extra("test")
    for module, extra in EXTRA_OF.items():
        distributions = {named(distribution) for distribution in known[module]}
        assert distributions & of_extra(extra), (module, extra)
        assert not distributions & needed("scaling"), module
        assert distributions & all_tested, module


def test_a_package_of_an_extra_is_imported_at_the_top_only_of_what_is_loaded_behind_it():
    """Else the error that names the extra would be a ModuleNotFoundError."""
    behind = {
        *(
            "decode.py",
            "orientation.py",
            "randaugment.py",
            "resize.py",
            "transparent.py",
        ),  # trainer/data/images/optional.py loads them
        *("agreement.py", "alignment.py", "comparison.py", "features.py"),  # trainer/duplicates/deciding.py and vectors.py do
    }
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert behind <= {path.name for path in files}
    for file in (path for path in files if path.name not in behind):
        at_top = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {name.name for node in at_top if isinstance(node, ast.Import) for name in node.names}
        names |= {node.module for node in at_top if isinstance(node, ast.ImportFrom) and node.module and not node.level}
        assert not {name.split(".")[0] for name in names} & set(EXTRA_OF), file
