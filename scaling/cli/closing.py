"""How `scaling submit` ends: what went wrong, what the runs took and what they say, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.cli.output import console, messages, print_json
from scaling.errors import ScalingError

if TYPE_CHECKING:
    from analysis import Answer
    from orchestrator.store import Store

__all__ = ["close"]

_WRONG = ("failed", "diverged", "stopped")


def close(store: Store, name: str, db: str, *, as_json: bool) -> bool:
    """Tell how the experiment `name` ended, and return whether every cell has what was asked for.

    What the runs say goes to stdout, all else to stderr. db: as the command was given it, for the commands that come next.
    """
    from orchestrator.store import queries, searches
    from orchestrator.store.payloads import runs_payload
    from orchestrator.store.skipped import skipped_examples

    with store.read() as session:
        rows = queries.runs(session, experiment=name)
        searched = searches.cells(session, name)
        left_out = skipped_examples(session, name)
        is_alone = queries.experiment_names(session) == [name]
    _tell_troubles(rows, searched, {"name": name, "skipped": left_out})
    if as_json:
        said, _ = _fitted(store, name)
        print_json({**runs_payload(rows), "answer": None if said is None else said.to_dict()})
    else:
        _tell_answer(store, name, rows, [*([] if is_alone else ["--experiment", name]), *_db_option(db)])
    return all(cell["learning_rate"] is not None for cell in searched) and not _is_incomplete(rows)


def _tell_answer(store: Store, name: str, rows: Sequence[Mapping[str, object]], options: Sequence[str]) -> None:
    from scaling.cli.the_answer import print_answer_in_short, print_next, print_no_law, spent_words

    out = console()
    said, why_not = _fitted(store, name)
    out.print(spent_words(rows), highlight=False, soft_wrap=True)
    if said is not None:
        print_answer_in_short(out, said)
    elif why_not is not None:
        print_no_law(out, why_not)
    print_next(messages(), said, options)


def _fitted(store: Store, name: str) -> tuple[Answer | None, ScalingError | None]:
    """What the law of an experiment says, or why there is none. The fits are kept in the store, as those of `scaling fit` would be shown."""
    from analysis import fit_all
    from orchestrator.store import laws

    try:
        fits, _ = fit_all(store.runs_frame(name))
    except ScalingError as error:
        return None, error
    with store.write() as session:
        laws.remember(session, experiment=name, fits=[fit.to_dict() for fit in fits])
    return fits[0].answer, None


def _tell_troubles(
    rows: Sequence[dict[str, object]], searched: Sequence[Mapping[str, Any]], experiment: Mapping[str, object]
) -> None:
    """Runs that did not finish, images that were left out, learning rates that were not found."""
    from scaling.cli.endings import endings, skipped

    err = messages()
    told = [
        row for row in rows if row["status"] in _WRONG or (row["status"] in ("pending", "paused", "finished") and row["reason"])
    ]
    for line in endings(told, lambda row: f"{row['id']} ({row['model']}, {row['epochs']:g} epochs, lr {row['learning_rate']:g})"):
        err.print(line, highlight=False)
    if left_out := skipped(experiment):
        err.print(left_out, highlight=False)
    for cell in searched:
        if cell["learning_rate"] is None:
            why = f": {cell['reason']}" if cell["reason"] else ""
            err.print(f"{cell['state']}: no learning rate for {cell['model']}, {cell['epochs']:g} epochs{why}", highlight=False)
    if found := [cell for cell in searched if cell["learning_rate"] is not None]:
        trials = sum(cell["trials"] for cell in found)
        err.print(
            f"learning rates of {len(found)} cells found in {trials} trials; `scaling lr --searches` shows them", highlight=False
        )


def _db_option(db: str) -> list[str]:
    """A data base named by a URL is left out: it may hold a password, and SCALING_DB has it."""
    return [] if db == "scaling.db" or "://" in db else ["--db", db]


def _is_incomplete(rows: Sequence[Mapping[str, object]]) -> bool:
    """A run failed, or a cell has no finished run. One learning rate among several that diverged is a result, and so is a cell that the
    file's own rule stopped.
    """
    settled = {(row["family"], row["model"], row["epochs"]) for row in rows if row["status"] in ("finished", "stopped")}
    return any(row["status"] == "failed" or (row["family"], row["model"], row["epochs"]) not in settled for row in rows)
