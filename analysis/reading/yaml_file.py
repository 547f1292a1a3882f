"""YAML files of experiment trackers, written by programs and mended by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from scaling.errors import DataError

__all__ = ["yaml_mapping"]


def yaml_mapping(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, empty where the file is. Raises `DataError` for what is not YAML, or not a mapping."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unreadable(file, f"line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from error
    except RecursionError as error:
        raise _unreadable(file, "lists and mappings in one another without end") from error
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:  # of its constructors
        raise _unreadable(file, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _unreadable(file, "not a mapping of names to values")
    return {str(name): value for name, value in content.items()}


def _unreadable(file: Path, problem: str) -> DataError:
    return DataError(f"{file}: {problem}", hint="mend the file, or move that run's folder away")
