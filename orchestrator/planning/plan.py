"""Expands a valid file into the runs it stands for, each with its id, its cost in FLOPs and an estimate in core-hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from orchestrator.experiments_file import Document, ModelField, Spec
from orchestrator.experiments_file.fields import FinetunedErrorField
from orchestrator.experiments_file.finetuning import finetuning_of, weights_of
from orchestrator.experiments_file.program import FACTS, folder_of, program_card, settings_of
from orchestrator.experiments_file.recipes import LearningRateField, Recipe, ScheduleField
from orchestrator.planning.trunk import Branch, branches
from orchestrator.resources import EarlyStop, Resources, RunOptions
from orchestrator.search.cells import Policy, SearchedCell, Second, alike, weight_decay_of
from orchestrator.shipping import version_of
from scaling.accelerators import ACCELERATORS, estimate_core_hours
from scaling.errors import UsageError
from scaling.rounding import significant
from trainer import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    NumericsConfig,
    ParentConfig,
    ProgramConfig,
    ScheduleConfig,
    TrainConfig,
    data,
    models,
)
from trainer.models.cost import cost
from trainer.optimizers import with_weight_decay
from trainer.surface import Surface, as_first_written

__all__ = ["Plan", "PlannedRun", "PlannedSearch", "make_plan", "template_of"]

_LATER = ("ema", "augment", "simulate", "sam", "recipes")
"""Keys that came later: a file without them is the study that it was."""
_MAX_SIZE = 2**62
"""Parameters and MACs are whole numbers of 64 bits in the store."""
_LIMITS = ("silence_seconds", "startup_seconds")
"""Fields of `trainer` that say how a program is watched: they are no part of what its runs are."""


@dataclass(frozen=True)
class PlannedRun:
    """Holds one run before it is run, with its cost.

    train_flops: 6 × MACs × examples seen (forward 2, backward 4 a MAC).
    estimated_core_hours: at the peak · MFU of the file's resources, until it is priced (`orchestrator.planning.priced`).
    cores: that it is given.
    branch: how it shares steps with runs of other budgets, where the file says so. macs: an example, of a program's model that states them.
    """

    id: str
    config: TrainConfig
    shape: str
    params: int
    steps: int
    examples_seen: int
    unique_examples: int
    train_flops: float
    cores: int
    estimated_core_hours: float
    branch: Branch | None = None
    macs: float | None = None

    @property
    def estimated_seconds(self) -> float:
        """Return the seconds that it takes on the cores that it is given, by the same estimate."""
        return self.estimated_core_hours * 3600 / self.cores

    @property
    def inherited_core_hours(self) -> float:
        """Estimate the part of its core-hours that another run's steps give."""
        return self.estimated_core_hours * self.branch.parent_step / self.steps if self.branch and self.branch.parent_step else 0.0

    def row(self, resources: Resources, options: RunOptions) -> dict[str, Any]:
        """Build its row: the columns of `orchestrator.store.models.Run`. resources, options: those of the plan."""
        config = self.config
        if options.pack > 1:
            options = replace(options, alike=alike(config))
        if config.model.surface is not None:
            pace = {"params": self.params, "step_seconds": self.estimated_seconds / self.steps}
            options = replace(options, execution={**options.execution, **pace})
        if self.branch is not None:
            options = replace(options, trunk=self.branch.trunk, checkpoint_at=self.branch.checkpoint_at)
        return {
            "id": self.id,
            "family": config.model.family,
            "model": config.model.name,
            "dataset": config.data.card.name,
            "epochs": config.schedule.epochs,
            "learning_rate": config.learning_rate,
            "batch_size": config.batch_size,
            "weight_decay": weight_decay_of(config),
            "seed": config.seed,
            "config": config.to_shared_dict(),
            "shape": self.shape,
            "resources": resources,
            "options": options,
            "parent_id": self.branch.parent if self.branch else None,
            "parent_step": self.branch.parent_step if self.branch else None,
            "provisional": config.data.card.provisional,
            "rehearsal": config.model.surface is not None,
            "macs": self.macs,
            "params": self.params,
            "steps": self.steps,
            "examples_seen": self.examples_seen,
            "unique_examples": self.unique_examples,
            "train_flops": self.train_flops,
            "estimated_core_hours": self.estimated_core_hours,
        }


@dataclass(frozen=True)
class PlannedSearch:
    """Holds a cell whose learning rates are found on the way. `run`: one of its runs, at the rate that the search starts from."""

    run: PlannedRun
    policy: Policy

    @property
    def key(self) -> tuple[str, str, float]:
        """Return family, model and epochs of the cell."""
        config = self.run.config
        return (config.model.family, config.model.name, config.schedule.epochs)

    @property
    def expected_runs(self) -> int:
        """Count the expected runs: of the trials, and one of what is found on each seed that is not searched."""
        return self.policy.expected_trials * len(self.policy.trial_seeds) + len(self.policy.other_seeds)

    @property
    def estimated_core_hours(self) -> float:
        return self.expected_runs * self.run.estimated_core_hours

    def cell(self, resources: Resources, options: RunOptions) -> SearchedCell:
        """Build the search as `orchestrator.search` takes it. resources, options: those of the plan."""
        template = template_of(self.run.row(resources, options))
        return SearchedCell(template["family"], template["model"], template["params"], template["epochs"], self.policy, template)


@dataclass(frozen=True)
class Plan:
    """Holds all runs of one experiments file, in the file's order: models, then epoch budgets, learning rates, seeds.

    searches: the cells whose learning rates are found on the way; their runs are not among `runs`, since nobody knows them yet.
    files: the hash of the files of the program that trains them, if one does. copy: the name of the copy of its folder, once there is one.
    finetuning: the plan of what its runs are fine-tuned to, where the file says so. Its runs have no parent yet, so their ids are not final.
    """

    spec: Spec
    document: Document
    card: data.DataCard
    runs: tuple[PlannedRun, ...]
    searches: tuple[PlannedSearch, ...] = ()
    files: str | None = None
    copy: str | None = None
    finetuning: Plan | None = None

    @property
    def estimated_core_hours(self) -> float:
        """Estimate what the runs would cost, each done alone."""
        return sum(run.estimated_core_hours for run in self.runs) + sum(search.estimated_core_hours for search in self.searches)

    @property
    def cells(self) -> list[SearchedCell]:
        """List the searches as `orchestrator.search` takes them."""
        return [search.cell(self.resources, self.options) for search in self.searches]

    @property
    def inherited_core_hours(self) -> float:
        """Estimate the part of the core-hours that is not spent, because runs share their trunks."""
        return sum(run.inherited_core_hours for run in self.runs)

    @property
    def trains(self) -> bool:
        """Say whether there is anything to train: not in a rehearsal, nor on a data set that is only declared."""
        return not (self.spec.simulate or self.card.provisional)

    @property
    def counted_models(self) -> list[str]:
        """List the models whose parameters or MACs are counted from the module, since their family does not state them."""
        if self.spec.trainer is not None:
            return []
        known = [(model.name, models.family(model.family_name)) for model in self.spec.models]
        return [name for name, family in known if family.params is None or family.macs is None]

    @property
    def remark(self) -> str:
        """Say in a sentence that nothing will be trained, and why; empty where runs are trained."""
        if rehearsal := self.spec.simulate:
            return (
                f"a rehearsal at {rehearsal.speed:g} rehearsed seconds a second: nothing is trained, losses follow a stated surface"
            )
        if self.card.provisional:
            return "the data set is declared, not at hand: run ids are provisional and nothing can be trained"
        if self.finetuning is not None and self.finetuning.card.provisional:
            return "the data set of fine-tuning is declared, not at hand: nothing of this file can be trained"
        return ""

    @property
    def resolved(self) -> dict[str, Any]:
        """Return the file with every default filled in."""
        return self.spec.model_dump(mode="json", by_alias=True)

    @property
    def resources(self) -> Resources:
        """Return the hardware that each run holds; of a rehearsal, chips that are only stated."""
        given, rehearsal = self.spec.resources, self.spec.simulate
        stated = rehearsal.chips if rehearsal else None
        kind = self.spec.kind
        card = kind if kind != ACCELERATORS.get(kind.name) else None
        cards = tuple(field.card for field in self.spec.accelerators if field.card != card) if kind.is_any else ()
        return Resources(kind.name, given.chip_count, given.topology, given.hosts, stated, card, cards or None)

    @property
    def options(self) -> RunOptions:
        """Return how each run is executed, as far as the file says it of all; a rehearsal packs nothing."""
        given, rule, rehearsal, trainer = self.spec.execution, self.spec.early_stop, self.spec.simulate, self.spec.trainer
        if trainer is not None:
            folder = str(folder_of(self.document))
            limits = {name: getattr(trainer, name) for name in _LIMITS}
            execution = {"folder": folder, "files": self.files, **limits}
            execution |= {"copy": self.copy} if self.copy not in (None, self.files) else {}
        elif rehearsal is not None:
            execution = {"speed": rehearsal.speed}
        else:
            execution = given.model_dump(exclude_defaults=True, exclude={"pack"})
        return RunOptions(
            execution=execution,
            evaluate_at=tuple(sorted({*self.spec.evaluate_at, *([rule.after] if rule else [])})),
            early_stop=EarlyStop(rule.confidence, rule.after) if rule else None,
            pack=1 if rehearsal else given.pack,
        )

    @property
    def shared(self) -> dict[str, Any]:
        """Return the fields that all runs of the experiment have in common: another value makes another study."""
        fields = ("batch_size", "schedule", "optimizer", "numerics", "label_smoothing")
        dumped = self.resolved
        # Fields that came later are left out at their neutral value, as in run ids: old experiments stay the same study.
        later = [name for name in _LATER if getattr(self.spec, name) != Spec.model_fields[name].default]
        for recipe in (dumped, *dumped["recipes"].values()):
            recipe["schedule"] = _what_changes_results(recipe["schedule"])
        dumped["recipes"] = {
            name: {key: value for key, value in recipe.items() if value is not None and key != "learning_rate"}
            for name, recipe in dumped["recipes"].items()
        }
        if (rehearsal := self.spec.simulate) is not None:
            dumped["simulate"]["loss"] = as_first_written(dumped["simulate"]["loss"])
            if rehearsal.finetuned_error == FinetunedErrorField():
                del dumped["simulate"]["finetuned_error"]
        if (trainer := self.spec.trainer) is not None:
            later.append("trainer")
            dumped["trainer"]["program_version"] = trainer.program_version or self.files
            for name in _LIMITS:
                del dumped["trainer"][name]
        of_data = {"corrections": list(self.card.corrections)} if self.card.corrections else {}
        return {field: dumped[field] for field in (*fields, *later)} | {
            "dataset": self.card.fingerprint,
            "train_examples": self.card.train_examples,
            **of_data,
        }


def template_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a run but for its id and learning rate, in plain JSON values."""
    template = {name: value for name, value in row.items() if name not in ("id", "learning_rate")}
    return template | {name: row[name].to_dict() for name in ("resources", "options")}


def make_plan(spec: Spec, document: Document) -> Plan:
    """Expand a file into its runs. Needs the cards of its data sets, not their images."""
    plan = _expanded(spec, document)
    if spec.finetune is None:
        return plan
    weights = {model.name: weights_of(spec, model) for model in spec.models}
    of_parent = partial(ParentConfig, run="", layer_decay=spec.finetune.layer_decay)
    parents = {name: of_parent(weights=kind) for name, kind in weights.items()}
    return replace(plan, finetuning=_expanded(finetuning_of(spec), document, parents))


def _expanded(spec: Spec, document: Document, parents: Mapping[str, ParentConfig] = MappingProxyType({})) -> Plan:
    """Expand a file, or its fine-tuning, into runs. parents: model → what they start from."""
    card = program_card(spec) if spec.trainer else data.card(spec.dataset.name, spec.dataset.options)
    files = version_of(folder_of(document), spec.trainer.command) if spec.trainer else None
    shared = _shared(spec, card, files)
    schedules: dict[int, tuple[ScheduleField, dict[float, ScheduleConfig]]] = {}
    runs: list[PlannedRun] = []
    searches: list[PlannedSearch] = []
    for field in spec.models:
        recipe = spec.recipe_of(field)
        written = recipe.schedule
        _, of_budget = schedules.setdefault(id(written), (written, {epochs: written.config(epochs) for epochs in spec.epochs}))
        rates, model, shape = recipe.learning_rate, _model(spec, field), None
        assert rates is not None
        policy = _policy(rates, spec.seeds)
        of_run = shared | _own(recipe, spec) | _at_start(policy, recipe)
        of_run |= {"parent": parents[field.name]} if parents else {}
        own: list[PlannedRun] = []
        for epochs, schedule in of_budget.items():
            cell = None
            tried = [policy.start] if policy else rates.of_budget(epochs)
            for rate in tried:
                for seed in spec.seeds[:1] if policy else spec.seeds:
                    config = TrainConfig(model=model, schedule=schedule, learning_rate=float(rate), seed=seed, **of_run)
                    shape = shape or _Shape.of(config, spec, field)
                    cell = cell or _cell(config, shape)
                    own.append(PlannedRun(id=config.run_id(), config=config, **cell))
        if recipe.schedule.reuse_trunk:
            found = branches([run.config for run in own])
            own = [replace(run, branch=branch) for run, branch in zip(own, found, strict=True)]
        if policy:
            searches += [PlannedSearch(run, policy) for run in own]
        else:
            runs += own
    return Plan(spec, document, card, tuple(runs), tuple(searches), files)


def _policy(rates: LearningRateField, seeds: Sequence[int]) -> Policy | None:
    """Return how a model's learning rates are searched for; None where they are listed."""
    if rates.start is None:
        return None
    second = None
    if rates.second is not None:
        name, field = rates.second.asked
        second = Second(name, float(field.start), float(field.factor))
    return Policy(rates.start, rates.factor or 2.0, tuple(seeds), len(seeds) if rates.seeds == "all" else 1, second=second)


def _at_start(policy: Policy | None, recipe: Recipe) -> dict[str, Any]:
    """Return the second setting of a search at the value that it starts from, as an argument of `TrainConfig`."""
    if policy is None or policy.second is None:
        return {}
    if policy.second.name == "batch_size":
        return {"batch_size": int(policy.second.start)}
    return {"optimizer": with_weight_decay(recipe.optimizer, policy.second.start)}


def _own(recipe: Recipe, spec: Spec) -> dict[str, Any]:
    """Return what the runs of a model have of their recipe, as arguments of `TrainConfig`."""
    if spec.trainer is not None:
        return {}
    sam = recipe.sam.config if recipe.sam else None
    return {"optimizer": recipe.optimizer, "label_smoothing": recipe.label_smoothing, "ema": recipe.ema, "sam": sam}


def _shared(spec: Spec, card: data.DataCard, files: str | None) -> dict[str, Any]:
    """Return what all runs of a file share, as arguments of `TrainConfig`. files: the hash of a program's files."""
    if (trainer := spec.trainer) is not None:
        program = ProgramConfig(tuple(trainer.command), trainer.program_version or files or "", trainer.metric)
        return {"data": DataConfig(spec.dataset.name, card), "batch_size": spec.batch_size, "program": program}
    return {
        "data": DataConfig(spec.dataset.name, card, data.significant(spec.dataset.name, spec.dataset.options)),
        "batch_size": spec.batch_size,
        "numerics": NumericsConfig(**spec.numerics.model_dump()),
        "augment": AugmentConfig(**spec.augment.model_dump()),
    }


def _what_changes_results(schedule: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a schedule as it is written, without how runs are done, and without keys that came later and are not given."""
    if schedule is None:
        return None
    return {key: value for key, value in schedule.items() if key != "reuse_trunk" and (value is not None or key == "name")}


def _model(spec: Spec, model: ModelField) -> ModelConfig:
    if spec.trainer is not None:
        return ModelConfig(model.family or "program", model.name, settings_of(model))
    surface = Surface(**spec.simulate.loss.model_dump()) if spec.simulate else None
    return ModelConfig(model.family_name, model.name, model.options, surface)


@dataclass(frozen=True)
class _Shape:
    """Holds what all runs of a model have in common. flops: of training on one example; rate: core-hours a FLOP, as the file states; None without a peak."""

    id: str
    params: int
    flops: float
    rate: float | None
    cores: int

    @classmethod
    def of(cls, config: TrainConfig, spec: Spec, field: ModelField) -> _Shape:
        card, model = config.data.card, config.model
        if config.program is not None:
            params, macs = (int(field.options.get(name, 0)) for name in FACTS)  # type: ignore[call-overload]  # a number, as was checked
        else:
            costs = cost(model.family, model.name, model.options, num_classes=card.num_classes, image_shape=card.image_shape)
            params, macs = costs.params, costs.macs
        if max(macs, params) > _MAX_SIZE:
            raise UsageError(
                f"model {model.name!r} has {significant(params, 3)} parameters and {significant(macs, 3)} MACs",
                hint=f"at most {_MAX_SIZE:g}",
            )
        return cls(
            id=config.shape_id(),
            params=params,
            flops=6.0 * macs,
            rate=spec.kind.stated_rate(spec.resources.assumed_mfu),
            cores=spec.core_count,
        )


def _cell(config: TrainConfig, shape: _Shape) -> dict[str, Any]:
    """Return what all runs of a model and an epoch budget have in common, as arguments of `PlannedRun`."""
    if config.program is not None:
        return _cell_of_program(config, shape)
    order = data.Order.of(config)
    train_flops = shape.flops * order.total
    passes = 1.0 + (config.sam.share if config.sam else 0.0)  # SAM's way up, which the FLOPs of the law do not count
    return {
        "shape": shape.id,
        "params": shape.params,
        "steps": order.steps,
        "examples_seen": order.total,
        "unique_examples": order.unique_examples,
        "train_flops": train_flops,
        "cores": shape.cores,
        "estimated_core_hours": estimate_core_hours(passes * train_flops, shape.rate) or 0.0,
    }


def _cell_of_program(config: TrainConfig, shape: _Shape) -> dict[str, Any]:
    """Return the same where a program trains: what the file does not state is 0, until the program reports it."""
    examples = config.data.card.train_examples
    total = round(config.schedule.epochs * examples)
    train_flops = shape.flops * total
    return {
        "macs": shape.flops / 6.0,
        "shape": shape.id,
        "params": shape.params,
        "steps": -(-total // config.batch_size) if config.batch_size else 0,
        "examples_seen": total,
        "unique_examples": min(total, examples),
        "train_flops": train_flops,
        "cores": shape.cores,
        "estimated_core_hours": estimate_core_hours(train_flops, shape.rate) or 0.0 if train_flops else 0.0,
    }
