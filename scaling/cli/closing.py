"""The last words of `scaling submit`: what went wrong, what the runs took and what they say, and what to type next."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from scaling.cli.output import console, messages, print_json
from scaling.waiting import Waiting

if TYPE_CHECKING:
    from orchestrator.main_job import Ending

__all__ = ["close"]

_OPEN = ("pending", "running", "paused")
_WRONG = ("failed", "diverged", "stopped")


def close(ended: Ending, *, as_json: bool = False) -> None:
    """Print how an experiment ended. What the runs say goes to stdout, all else to stderr."""
    if ended.outcome not in ("done", "nothing to do"):
        _tell_where_it_goes_on(ended)
        return
    _tell_troubles(ended)
    if as_json:
        print_json(ended.to_dict())
    else:
        _tell_answer(ended)


def _tell_where_it_goes_on(ended: Ending) -> None:
    from orchestrator.main_job import Submitted

    lines = []
    if ended.outcome == "paused":
        left = Waiting.of(Counter(row["status"] for row in ended.rows))
        so_far = "" if left is None else f": {left}"
        lines.append(f"paused{so_far}; `scaling submit {ended.file or 'FILE'}` goes on from here")
    elif ended.outcome == "left":
        lines.append("another scheduler works on; `scaling status` shows how far it is")
    elif isinstance(ended, Submitted) and (job := ended.job) is not None:
        lines += [
            f"handed over to the cluster: Ray job {job.job}",
            f"read:  `scaling status --db {job.store}`, or {job.dashboard} for its log",
            f"stop:  `ray job stop --address {job.dashboard} {job.job}`: what runs checkpoints, and submitting again goes on",
        ]
    with suppress(OSError):  # nobody reads it
        for line in lines:
            messages().print(line, highlight=False, markup=False)


def _tell_answer(ended: Ending) -> None:
    from scaling.cli.the_answer import print_answer_in_short, print_next, print_no_law, spent_words

    out = console()
    out.print(spent_words(ended.rows), highlight=False, soft_wrap=True)
    if ended.answer is not None:
        print_answer_in_short(out, ended.answer, ended.regret)
    elif ended.no_law is not None:
        print_no_law(out, ended.no_law)
    if ended.answer is None and ended.regret is not None and not ended.regret.is_unknown:
        out.print(ended.regret.sentence(), highlight=False, markup=False, soft_wrap=True)
    if ended.finetuned is not None:
        out.print(ended.finetuned.sentence, style="bold", highlight=False, markup=False, soft_wrap=True)
    print_next(messages(), ended.answer, ended.options, finetuned=ended.finetuned)


def _tell_troubles(ended: Ending) -> None:
    """Tell of runs that did not finish, images that were left out, learning rates that were not found."""
    from scaling.cli.endings import endings, skipped

    err = messages()
    told = [
        row
        for row in ended.rows
        if row["status"] in _WRONG or (row["status"] in ("pending", "paused", "finished") and row["reason"])
    ]
    for line in endings(told, lambda row: f"{row['id']} ({row['model']}, {row['epochs']:g} epochs, lr {row['learning_rate']:g})"):
        err.print(line, highlight=False)
    if ended.finetuning is not None and not ended.finetuning["runs"]:
        open_runs = sum(row["status"] in _OPEN for row in ended.rows)
        why = f"{open_runs} runs of pre-training are not over" if open_runs else "no run of pre-training has finished"
        err.print(f"nothing was fine-tuned, since it is not known which runs that starts from: {why}", highlight=False)
    if left_out := skipped({"name": ended.experiment, "skipped": ended.skipped}):
        err.print(left_out, highlight=False)
    for cell in ended.searched:
        if cell["learning_rate"] is None:
            why = f": {cell['reason']}" if cell["reason"] else ""
            tuned = " in fine-tuning" if cell["stage"] == "finetuning" else ""
            err.print(
                f"{cell['state']}: no learning rate for {cell['model']}, {cell['epochs']:g} epochs{tuned}{why}", highlight=False
            )
    if found := [cell for cell in ended.searched if cell["learning_rate"] is not None]:
        trials = sum(cell["trials"] for cell in found)
        err.print(
            f"learning rates of {len(found)} cells found in {trials} trials; `scaling lr --searches` shows them", highlight=False
        )
