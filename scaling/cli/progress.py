"""Live progress in the terminal; without one, a line when something ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from scaling.rounding import amount, significant

if TYPE_CHECKING:
    from rich.console import Group

    from orchestrator.store.progress import Progress

__all__ = ["live_progress"]

_QUIET_SECONDS = 10.0
_LISTED = 20
"""Most runs in training that a terminal shows."""


@contextmanager
def live_progress() -> Iterator[Callable[[Progress], None]]:
    """Return a function to call with each `Progress`; what it shows goes to stderr. It goes on when nobody can read that any more.

    The terminal is the command's own until the first call.
    """
    from scaling.cli.hangup import leave_terminal
    from scaling.cli.output import messages

    err = messages()
    if not err.is_terminal:
        show = _lines()

        def show_if_read(progress: Progress) -> None:
            with suppress(OSError):
                show(progress)

        yield show_if_read
        return

    from rich.live import Live

    live = Live(console=err, refresh_per_second=4, transient=False)
    with ExitStack() as shown:

        def show_live(progress: Progress) -> None:
            if not live.is_started:
                shown.enter_context(live)
                shown.callback(leave_terminal)  # it shows its last state as it ends
            live.update(_panel(progress))

        yield show_live


def _lines() -> Callable[[Progress], None]:
    """Show progress for logs: one line when a run has ended, at most every ten seconds, and one at the end."""
    from scaling.cli.output import messages

    err = messages()
    told: dict[str, float] = {"done": -1.0, "at": -_QUIET_SECONDS}

    def show(progress: Progress) -> None:
        done, total = progress.over, progress.total
        if done != told["done"] and (done == total or progress.seconds - told["at"] >= _QUIET_SECONDS):
            told["done"], told["at"] = done, progress.seconds
            err.print(f"[{progress.seconds:5.0f} s] {_summary(progress)}", highlight=False, markup=False)

    return show


def _summary(progress: Progress) -> str:
    from scaling.waiting import time_left

    states = ", ".join(f"{count} {status}" for status, count in progress.counts.items())
    parts = [
        f"{progress.total} runs: {states}",
        f"{amount(progress.core_hours)} core-hours"
        + (f" (estimated {amount(progress.estimated_core_hours)})" if progress.estimated_core_hours else ""),
    ]
    if progress.best_val_loss is not None:
        parts.append(f"best val_loss {significant(progress.best_val_loss)}")
    if progress.pace:
        parts.append(progress.pace)
    if progress.eta_seconds:
        parts.append(f"about {time_left(progress.eta_seconds)} left")
    return " · ".join(parts)


def _panel(progress: Progress) -> Group:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from scaling.cli.output import duration

    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=progress.total, completed=progress.over, width=40)
    name = Text(progress.experiment or "all experiments", style="bold")
    head.add_row(name, bar, f"{progress.over}/{progress.total}", duration(progress.seconds))
    running = Table.grid(padding=(0, 2))
    for run in progress.running[:_LISTED]:
        running.add_row(
            "  ",
            run.id,
            run.model,
            f"{run.epochs:g} epochs",
            f"lr {run.learning_rate:g}",
            f"{run.step:,}/{run.steps:,}" if run.step else "starting",
            "" if run.train_loss is None else f"train loss {run.train_loss:.3f}",
            "" if run.examples_per_second is None else f"{amount(run.examples_per_second)} examples/s",
            "" if run.mfu is None else f"MFU {100 * run.mfu:.3g} %",
        )
    if (more := len(progress.running) - _LISTED) > 0:
        running.add_row("  ", f"and {more} more")
    return Group(head, Text(_summary(progress), style="dim"), running)
