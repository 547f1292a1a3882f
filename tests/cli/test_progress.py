"""What the terminal shows while a grid runs."""

import io

from rich.console import Console

from orchestrator.messages import Message
from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.see_through import Progress
from orchestrator.store.ledger import Grant
from scaling.cli.progress import _lines, _panel
from trainer.events import Progress as Told
from trainer.events import Started


def progress(finished, *, running=(), eta=None):
    counts = {"pending": 3 - finished, "finished": finished}
    return Progress(
        "digits",
        12.0,
        counts,
        list(running),
        core_hours=0.012 * finished,
        estimated_core_hours=0.05,
        best_val_loss=0.25,
        eta_seconds=eta,
    )


def test_runs_by_state_eta_core_hours_best_loss_and_what_runs():
    config = {"model": {"name": "nano-F0"}, "schedule": {"epochs": 2.0}, "learning_rate": 0.2}
    log = AttemptLog(Grant("a" * 16, 1, "token", config, Resources("cpu", 1), RunOptions(), 2740, None, 0))
    screen = io.StringIO()
    console = Console(file=screen, width=120)
    console.print(_panel(progress(1, running=[log])))
    assert "starting" in screen.getvalue()
    for event in (Started(steps=75), Told(step=30, steps=75, train_loss=1.5, train_seconds=1.0)):
        log.take(Message(event=event, token="token"))
    console.print(_panel(progress(1, running=[log], eta=90)))
    shown = screen.getvalue()
    for part in (
        "digits",
        "1/3",
        "12 s",
        "2 pending, 1 finished",
        "0.0120 core-hours (estimated 0.0500)",
        "best val_loss 0.2500",
        "left",
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
