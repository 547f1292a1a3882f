"""The compute-optimal size and epochs, as `scaling frontier --optimum` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from scaling.cli.tables import headline, line, table
from scaling.rounding import as_factor, percent, significant

if TYPE_CHECKING:
    from analysis import Optimum
    from analysis.interval import Interval
    from analysis.optimum.whole_cost import WholeCost

__all__ = ["print_optimum"]

_SHOWN = 1e-3  # less is the rounding of sizes and examples


def print_optimum(out: Console, optimum: Optimum, *, is_complete: bool = True) -> None:
    """Print the answer, the three approaches, where they disagree, and what can be run.

    is_complete: whether all runs are over; while some are not, nobody is told to add others.
    """
    from analysis.selection import excluded_words

    headline(out, optimum.sentence())
    level, x = f"{100 * optimum.level:g} %", optimum.x
    data = optimum.data_name.replace("_", " ")
    shown = table("approach", f"size ∝ {x}^", level, f"{data} ∝ {x}^", level, f"epochs > 1 above {x}", level, "status")
    for path in optimum.paths:
        shown.add_row(
            path.approach, *_pair(path.size_exponent), *_pair(path.epochs_exponent), *_pair(path.crossing.at), path.status.value
        )
    out.print(shown)
    for path in optimum.paths:
        line(out, f"{path.approach}: {path.reason}" + ("" if path.answers or not is_complete else f". {path.status.advice}"))
    line(out, f"headline: {optimum.choice.words()}")
    line(out, f"size is {optimum.size_name}; {optimum.cells} cells of {optimum.runs_used} runs, {excluded_words(optimum.excluded)}")
    if optimum.noise.source != "none":
        line(
            out,
            f"a cell scatters by {as_factor(optimum.noise.cell)} (one sd), read off {'a smooth surface' if optimum.noise.source == 'surface' else 'its seeds'}",
        )
    if optimum.compute_scatter > _SHOWN:
        line(
            out,
            f"measured {x} scatters by {as_factor(optimum.compute_scatter)} (one sd) about what such a model costs for such {data}",
        )
    out.print()

    apart = optimum.disagreement()
    if len(apart):
        out.print(Text("where the approaches agree, and where not", "bold"))
        shown = table(*(str(name).replace("_", " ") for name in apart))
        for values in apart.to_numpy(float):
            shown.add_row(*(significant(value, 3) for value in values))
        out.print(shown)
        out.print()
    if optimum.whole_cost is not None:
        _print_whole_cost(out, optimum.whole_cost, level)
    if len(optimum.runnable):
        out.print(
            Text(f"in models and epoch budgets that exist ({optimum.recommended.approach if optimum.recommended else ''})", "bold")
        )
        shown = table(x, "best size", f"best {data}", "model", data, f"its {x}", "over the best")
        for row in optimum.runnable.to_dict("records"):
            over = row["metric_over_best"]
            numbers = (significant(row[name], 3) for name in (x, "optimal_size", f"optimal_{optimum.data_name}"))
            shown.add_row(
                *numbers,
                row["model"],
                f"{row[optimum.data_name]:g}",
                significant(row[f"{x}_of_cell"], 3),
                percent(over - 1, signed=True),
            )
        out.print(shown)
        out.print()


def _print_whole_cost(out: Console, found: WholeCost, level: str) -> None:
    out.print(Text("training, fine-tuning and serving together", "bold"))
    line(out, found.sentence())
    line(out, found.assumption())
    if not found.reason:
        shown = table("", "value", level)
        shown.columns[0].justify = "left"
        rows = {
            found.metric: found.loss,
            f"best {found.size_name}": found.size,
            "examples to train on": found.examples,
            f"{found.x} in all": found.total,
            f"{found.size_name} that is cheapest to train": found.training_size,
            "its examples": found.training_examples,
            "data per parameter over that": found.over_training,
        }
        for name, interval in rows.items():
            shown.add_row(
                name, *(_pair(interval) if interval.low < interval.high else (significant(interval.value, 3), "as asked"))
            )
        out.print(shown)
    out.print()


def _pair(interval: Interval | None) -> tuple[str, str]:

    if interval is None:
        return "–", ""
    return significant(interval.value, 3), f"{significant(interval.low, 3)} … {significant(interval.high, 3)}"
