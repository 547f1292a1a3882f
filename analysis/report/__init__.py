"""The report: all that a table of runs says, in one HTML file that loads nothing from anywhere.

| file | what it holds |
|---|---|
| `study` | `study_of(runs) -> Study`: the numbers, and for each part that these runs do not allow the reason |
| `commands` | the commands that print the same numbers |
| `document` | `report_html(study)`: the document; `write_report(runs, file)`: the file |
| `templates/` | its text and its style |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.report.document import report_html, write_report
    from analysis.report.study import Study, study_of

_HOMES = {
    "Study": "analysis.report.study",
    "report_html": "analysis.report.document",
    "study_of": "analysis.report.study",
    "write_report": "analysis.report.document",
}

__all__ = ["Study", "report_html", "study_of", "write_report"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
