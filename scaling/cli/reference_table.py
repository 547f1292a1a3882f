"""Reference points on the terminal: what others reached, and at which compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.rounding import amount, significant

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.reference_points.beside import References

__all__ = ["print_references"]


def print_references(out: Console, found: References) -> None:
    """Print a line a point with its compute, as published and as converted, then the sources and what to know about them."""
    from scaling.cli.tables import line, table

    shown = table("reference point", found.metric, found.x, "as published", "on", "/")
    for number in (0, 4):
        shown.columns[number].justify = "left"
    for point in found.points:
        more = ">" if point.is_bound else ""
        shown.add_row(
            point.name,
            significant(point.value),
            "–" if point.at is None else f"{more}{amount(point.at)}",
            "–" if point.stated is None else f"{more}{amount(point.stated)}",
            point.accelerator,
            "" if point.factor is None else significant(point.factor, 3),
        )
    out.print(shown)
    for source in dict.fromkeys(source for point in found.points for source in (point.source, point.factor_source) if source):
        line(out, source)
    for note in found.notes:
        line(out, note)
    out.print()
