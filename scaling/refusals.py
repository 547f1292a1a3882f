"""The section of docs/refused.md that explains a refusal: the command line, the API, the pages and the report show it beside the hint.

A section is found by the module of the analysis that raised the error and by the error's class. A new kind of refusal gets a section of the
page and, where the rules below would send it elsewhere, a rule. `tests/test_refused.py` checks that each section exists.
"""

from __future__ import annotations

from scaling.errors import DataError, ScalingError, TooFewPoints, UnknownName, UsageError

__all__ = ["PAGE", "SECTIONS", "why"]

PAGE = "scaling docs refused"
"""The command that prints the page."""

_RULES: tuple[tuple[str, type[ScalingError], str], ...] = (
    ("analysis.cells", TooFewPoints, "status"),
    ("analysis.reading.statuses", ScalingError, "status"),
    ("analysis.direction", ScalingError, "better-when-higher"),
    ("analysis.", TooFewPoints, "too-few-points"),
    ("analysis.", UnknownName, "columns-and-names"),
    ("analysis.checkpoints", ScalingError, "charts-and-histories"),
    ("analysis.reading.chart", ScalingError, "charts-and-histories"),
    ("analysis.reading.history", ScalingError, "charts-and-histories"),
    ("analysis.reading.wandb", ScalingError, "charts-and-histories"),
    ("analysis.reading.numbers_in", ScalingError, "numbers-and-units"),
    ("analysis.reading.unit", ScalingError, "numbers-and-units"),
    ("analysis.reading.our_units", DataError, "numbers-and-units"),
    ("analysis.reading.accelerator_hours", ScalingError, "mixtures"),
    ("analysis.reading.choice", ScalingError, "columns-and-names"),
    ("analysis.reading.", UsageError, "columns-and-names"),
    ("analysis.reading.", ScalingError, "files"),
    ("analysis.cells", UsageError, "several-studies"),
    ("analysis.learning_rate.grids", UsageError, "columns-and-names"),
    ("analysis.selection", UsageError, "mixtures"),
    ("analysis.optimum.cells", UsageError, "mixtures"),
    ("analysis.fitting.", DataError, "numbers-and-units"),
    ("analysis.report.document", UsageError, "files"),
    ("analysis.", DataError, "columns-and-names"),
    ("analysis.", UsageError, "asks-that-contradict"),
    ("scaling.columns", UsageError, "columns-and-names"),
)
"""Where an error was raised (how the module's name begins), its class → the section. The first that fits counts."""

SECTIONS = tuple(dict.fromkeys(section for *_, section in _RULES))


def why(error: ScalingError) -> str:
    """Name the section that explains an error of the analysis, as a command: `scaling docs refused#section`; else an empty string."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = "" if frame is None else frame.tb_frame.f_globals.get("__name__", "")
    section = next((name for start, kind, name in _RULES if module.startswith(start) and isinstance(error, kind)), "")
    return section and f"{PAGE}#{section}"
