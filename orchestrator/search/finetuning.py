"""Fine-tuning against the store: chooses which pre-trained runs are fine-tuned, and asks for these runs.

Which they are is a function of the file and of the results of pre-training. So a scheduler that takes over asks for the same runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from orchestrator.search.advance import Searches
from orchestrator.search.cells import Policy, SearchedCell, alike
from orchestrator.store import Session, changes, finetunings, searches
from orchestrator.store.finetunings import Pretrained
from orchestrator.store.models import Finetuning, Run, Search
from scaling.columns import FINETUNING
from scaling.outcomes import RunStatus
from trainer import TrainConfig

__all__ = ["Finetunings", "PretrainedCell", "cells_in", "chosen"]


@dataclass(frozen=True)
class PretrainedCell:
    """Holds the runs of a cell of pre-training.

    search: of its learning rate; None where the rates are listed.
    """

    key: tuple[str, str, float]
    runs: Sequence[Pretrained]
    search: Search | None = field(default=None, repr=False)

    @property
    def is_settled(self) -> bool:
        """Say whether it is known which runs stand for it: all of them are over, and so is the search of its rate."""
        searched = self.search is None or self.search.state in ("settled", "given-up")
        return searched and all(run.status.is_final for run in self.runs)

    @property
    def best(self) -> list[Pretrained]:
        """List its finished runs at the best learning rate, one a seed: the rate that its search found, else that of the lowest mean loss."""
        finished = [run for run in self.runs if run.status is RunStatus.FINISHED and run.val_loss is not None]
        by_rate: dict[float, list[Pretrained]] = {}
        for run in filter(self._was_found, finished):
            by_rate.setdefault(run.learning_rate, []).append(run)
        diverged = {run.learning_rate for run in self.runs if run.status is RunStatus.DIVERGED}
        sound = {rate: runs for rate, runs in by_rate.items() if rate not in diverged} or by_rate
        return min(sound.values(), key=lambda runs: fmean(run.val_loss or 0.0 for run in runs), default=[])

    @property
    def only(self) -> list[Pretrained]:
        """List its runs, whatever became of them, where they differ in seed alone; else none, since which is best is not known yet."""
        return list(self.runs) if self.search is None and len({run.learning_rate for run in self.runs}) == 1 else []

    @property
    def loss(self) -> float:
        """Return the mean validation loss of `best`; infinite where nothing finished."""
        return fmean(run.val_loss or 0.0 for run in self.best) if self.best else math.inf

    @property
    def work(self) -> float:
        """Return the training FLOPs of a run, by which the frontier is drawn: seconds would let a busy machine choose."""
        return self.runs[0].train_flops or self.runs[0].epochs

    def _was_found(self, run: Pretrained) -> bool:
        """Say whether a run has what the search of its cell has found."""
        if self.search is None:
            return True
        if self.search.learning_rate is None or not math.isclose(run.learning_rate, self.search.learning_rate):
            return False
        second = self.search.policy.get("second")
        return not second or math.isclose(getattr(run, second["name"]) or 0.0, self.search.second or 0.0)


def cells_in(runs: Iterable[Pretrained], searched: Mapping[tuple[str, str, float], Search]) -> list[PretrainedCell]:
    """Group runs by family, model and epochs; a cell that is searched and has no runs yet is among them."""
    groups: dict[tuple[str, str, float], list[Pretrained]] = {key: [] for key in searched}
    for run in runs:
        groups.setdefault(run.cell, []).append(run)
    return [PretrainedCell(key, found, searched.get(key)) for key, found in groups.items() if found or key in searched]


def chosen(cells: Sequence[PretrainedCell], rule: Mapping[str, Any]) -> list[PretrainedCell]:
    """Choose the cells of one family that are fine-tuned.

    With `all`, each as soon as it is settled. Else once all of them are: with `top` so many of the lowest loss; with `frontier` those with
    a lower loss than every cell of no more FLOPs.
    """
    done = [cell for cell in cells if cell.is_settled and cell.best]
    if rule["name"] == "all":
        return done
    if not all(cell.is_settled for cell in cells):
        return []
    if rule["name"] == "top":
        return sorted(done, key=lambda cell: (cell.loss, cell.work))[: rule["top"]]
    found: list[PretrainedCell] = []
    for cell in sorted(done, key=lambda cell: (cell.work, cell.loss)):
        if not found or cell.loss < found[-1].loss:
            found.append(cell)
    return found


class Finetunings:
    """Asks for the fine-tunings of a store, and advances its searches, as a rule of the scheduler: see `orchestrator.scheduling.policy.Rule`.

    searches: which ask for the runs of pre-training, and of the fine-tunings whose rates are searched for.
    """

    def __init__(self, searches: Searches) -> None:
        self._searches = searches
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def advance(self, session: Session, experiment_id: int | None = None, *, renew: bool = False) -> bool:
        """Add the runs that are due to their experiment, of one or of all, in this transaction. Returns True when there were any.

        renew: the file was accepted anew, so runs that wait are done as it says now.
        """
        changed = self._searches.advance(session, experiment_id, renew=renew)
        asked = False
        for one in finetunings.experiments(session):
            if experiment_id in (None, one):
                asked |= self._ask(session, one, renew)
        if asked:
            changes.note(session)
            self._searches.advance(session, experiment_id, renew=renew)
        return changed or asked

    def keep(self, session: Session, experiment_id: int, run_ids: Sequence[str]) -> None:
        """Let an experiment want those of these fine-tuned runs further that have begun, while it is not known which of their family are chosen.

        So what was fine-tuned stays in view, and is charged to the experiment, while a grid that has grown is pre-trained.
        """
        cells = cells_in(finetunings.pretrained(session, experiment_id), finetunings.searched(session, experiment_id))
        families = {cell.key[0] for cell in cells if not cell.is_settled}
        parents = {run.id for cell in cells for run in cell.runs if cell.key[0] in families}
        how = {(row.family, row.model): row for row in finetunings.of_experiment(session, experiment_id)}
        kept = [
            {"id": run.id}
            for run in finetunings.begun(session, run_ids)
            if run.parent_id in parents and (run.family, run.model) in how and _is_of(run, how[run.family, run.model])
        ]
        searches.want(session, experiment_id, kept, revision=searches.latest_revision_number(session, experiment_id))

    def _ask(self, session: Session, experiment_id: int, renew: bool) -> bool:
        """Ask for the runs of one experiment, and begin the searches of its fine-tunings. Returns True when any was new."""
        session.flush()
        revision = searches.latest_revision_number(session, experiment_id)
        cells = cells_in(finetunings.pretrained(session, experiment_id), finetunings.searched(session, experiment_id))
        rows: list[dict[str, Any]] = []
        searched: list[dict[str, Any]] = []
        of_models = finetunings.of_experiment(session, experiment_id)
        for family in dict.fromkeys(row.family for row in of_models):
            rules = {row.model: row for row in of_models if row.family == family}
            ours = [cell for cell in cells if cell.key[0] == family and cell.key[1] in rules]
            rule = next(iter(rules.values())).chosen
            picked = {cell.key: cell.best for cell in chosen(ours, rule)}
            if rule["name"] == "all":
                picked = {cell.key: cell.only for cell in ours if cell.only and rules[cell.key[1]].policy is None} | picked
            for key, parents in picked.items():
                how = rules[key[1]]
                template = _template(how, parents)
                if how.policy is not None:
                    policy = {**how.policy, "seeds": sorted(run.seed for run in parents)}
                    searched.append({"family": family, "model": key[1], "epochs": key[2], "template": template, "policy": policy})
                else:
                    rows += [self._row(how, key[2], template, rate, run) for run in parents for rate in how.rates]
        if not renew:
            known = set(finetunings.wanted(session, experiment_id))
            rows = [row for row in rows if row["id"] not in known]
        begun = searches.link(session, experiment_id, searched, revision=revision, stage=FINETUNING)
        return searches.want(session, experiment_id, rows, revision=revision, renew=renew).anything or begun

    def _row(self, how: Finetuning, epochs: float, template: Mapping[str, Any], rate: float, parent: Pretrained) -> dict[str, Any]:
        """Build the row of the run at one learning rate that starts from `parent`."""
        key = (how.id, how.template["shape"], epochs, rate, parent.id)
        if key not in self._rows or self._rows[key]["options"].to_dict() != template["options"]:
            policy = Policy(rate, 2.0, (parent.seed,))
            cell = SearchedCell(how.family, how.model, template["params"], epochs, policy, template)
            self._rows[key] = cell.run(0, parent.seed)
        return self._rows[key]


def _is_of(run: Run, how: Finetuning) -> bool:
    """Say whether a run was fine-tuned in this way."""
    is_alike = alike(TrainConfig.from_dict(run.config)) == alike(TrainConfig.from_dict(how.template["config"]))
    return is_alike and (how.policy is not None or run.learning_rate in how.rates)


def _template(how: Finetuning, parents: Sequence[Pretrained]) -> dict[str, Any]:
    """Return the row of a fine-tuning from these runs but for its id, learning rate and seed, in plain JSON values."""
    template = {**how.template, "parents": {str(run.seed): run.id for run in parents}}
    if template.get("rehearsal"):
        facts = {name: getattr(parents[0], name) for name in ("params", "examples_seen", "unique_examples", "epochs")}
        execution = {**template["options"].get("execution", {}), "pretrained": facts}
        template["options"] = {**template["options"], "execution": execution}
    return template
