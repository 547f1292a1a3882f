"""What the terminal shows while a grid runs."""

import io

from rich.console import Console

from orchestrator.store.progress import AtWork, Progress
from scaling.cli.progress import _lines, _panel


def progress(finished, *, running=(), eta=None):
    counts = {"pending": 3 - finished, "finished": finished}
    return Progress(
        "digits",
        12.0,
        counts,
        tuple(running),
        core_hours=0.012 * finished,
        estimated_core_hours=0.05,
        best_val_loss=0.25,
        eta_seconds=eta,
    )


def test_runs_by_state_eta_core_hours_best_loss_throughput_and_what_runs():
    starting = AtWork("b" * 16, "nfnet", "nano-F1", 4.0, 0.4, 0, 0, 75, None, None, None)
    running = AtWork("a" * 16, "nfnet", "nano-F0", 2.0, 0.2, 0, 30, 75, 1.5, 2310.0, 0.041)
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    console.print(_panel(progress(1, running=[starting])))
    assert "starting" in screen.getvalue()
    console.print(_panel(progress(1, running=[running, starting], eta=90)))
    shown = screen.getvalue()
    for part in (
        "digits",
        "1/3",
        "12 s",
        "2 pending, 1 finished",
        "0.0120 core-hours (estimated 0.0500)",
        "best val_loss 0.2500",
        "2,310 examples/s, MFU 4.1 %",
        "about 2 min left",
    ):
        assert part in shown, part
    for part in ("a" * 16, "nano-F0", "2 epochs", "lr 0.2", "30/75", "train loss 1.500"):
        assert part in shown, part


def test_without_a_terminal_there_is_a_line_when_something_ended_and_one_at_the_end(capsys):
    show = _lines()
    for finished in (0, 0, 1, 1, 2, 3, 3):
        show(progress(finished))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # the first, and the last; the others came within ten seconds
    assert "3 runs: 0 pending, 3 finished" in lines[-1]
