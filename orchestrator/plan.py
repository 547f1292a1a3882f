"""From a valid file to the runs it stands for, each with its id, its cost in FLOPs and an estimate in core-hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.spec import Document, ModelField, ResourcesField, Spec
from scaling.accelerators import SIMULATED, core_hours
from trainer import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    NumericsConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
    data,
    models,
)
from trainer.models import simulated

__all__ = ["Plan", "PlannedRun", "make_plan"]


@dataclass(frozen=True)
class PlannedRun:
    """One run before it is run.

    train_flops: 6 × MACs × examples seen (forward 2, backward 4 a MAC).
    estimated_seconds: train_flops / (cores · peak · MFU) of the file's resources.
    """

    config: TrainConfig
    params: int
    steps: int
    examples_seen: int
    unique_examples: int
    train_flops: float
    estimated_seconds: float
    estimated_core_hours: float

    @property
    def id(self) -> str:
        return self.config.run_id()

    def row(self, resources: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of `orchestrator.store.models.Run`."""
        config = self.config
        if "speed" in resources:
            resources = {**resources, "step_seconds": self.estimated_seconds / self.steps}
        return {
            "id": self.id,
            "family": config.model.family,
            "model": config.model.name,
            "dataset": config.data.card.name,
            "epochs": config.schedule.epochs,
            "learning_rate": config.learning_rate,
            "batch_size": config.batch_size,
            "seed": config.seed,
            "config": config.to_dict(),
            "shape": config.shape_id(),
            "resources": dict(resources),
            "provisional": config.data.card.provisional,
            "params": self.params,
            "steps": self.steps,
            "examples_seen": self.examples_seen,
            "unique_examples": self.unique_examples,
            "train_flops": self.train_flops,
            "estimated_core_hours": self.estimated_core_hours,
        }


@dataclass(frozen=True)
class Plan:
    """All runs of one experiments file, in the file's order: models, then epoch budgets, learning rates, seeds."""

    spec: Spec
    document: Document
    card: data.DataCard
    runs: tuple[PlannedRun, ...]

    @property
    def estimated_core_hours(self) -> float:
        return sum(run.estimated_core_hours for run in self.runs)

    @property
    def resolved(self) -> dict[str, Any]:
        """The file with every default filled in."""
        return self.spec.model_dump(mode="json")

    @property
    def resources(self) -> dict[str, Any]:
        """On what and how the runs are done, as `Run.resources` holds it: all of it may differ for a run of the same id.

        `execution`, `evaluate_at`, `topology` and `hosts` where the file has them; of a rehearsal `speed` and `pool`, its simulated chips.
        """
        given, execution = self.spec.resources, self.spec.execution.model_dump(exclude_defaults=True)
        held: dict[str, Any] = {"accelerator": given.accelerator, "chips": given.chip_count}
        if execution:
            held["execution"] = execution
        if self.spec.evaluate_at:
            held["evaluate_at"] = sorted(self.spec.evaluate_at)
        if given.topology and not self.spec.simulate:
            held["topology"] = given.topology
        if given.hosts and not self.spec.simulate:
            held["hosts"] = given.hosts
        if rehearsal := self.spec.simulate:
            held |= {"accelerator": SIMULATED + given.accelerator, "speed": rehearsal.speed, "pool": rehearsal.chips}
        return held

    @property
    def shared(self) -> dict[str, Any]:
        """What all runs of the experiment have in common: another value makes another study."""
        fields = ("batch_size", "schedule", "optimizer", "numerics", "label_smoothing")
        dumped = self.resolved
        # Fields that came later are left out at their neutral value, as in run ids: old experiments stay the same study.
        later = [name for name in ("ema", "augment", "simulate") if getattr(self.spec, name) != Spec.model_fields[name].default]
        if dumped["schedule"]["decay_fraction"] is None:
            del dumped["schedule"]["decay_fraction"]
        return {field: dumped[field] for field in (*fields, *later)} | {
            "dataset": self.card.fingerprint,
            "train_examples": self.card.train_examples,
        }


def make_plan(spec: Spec, document: Document) -> Plan:
    """Expand a file into its runs. Needs the data set's card, not its images."""
    card = data.card(spec.dataset.name, spec.dataset.options)
    runs = [
        _planned(_config(spec, card, _model(spec, model), epochs, rate, seed), spec.resources)
        for model in spec.models
        for epochs in spec.epochs
        for rate in spec.learning_rates(model.name, epochs)
        for seed in spec.seeds
    ]
    return Plan(spec, document, card, tuple(runs))


def _model(spec: Spec, model: ModelField) -> ModelConfig:
    if spec.simulate is None:
        return ModelConfig(model.family_name, model.name, model.options)
    stands_for = {"of": model.family_name, "of_options": model.options, "surface": spec.simulate.loss.model_dump()}
    return ModelConfig(simulated.FAMILY, model.name, stands_for)


def _config(spec: Spec, card: data.DataCard, model: ModelConfig, epochs: float, rate: float, seed: int) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(spec.dataset.name, card, data.significant(spec.dataset.name, spec.dataset.options)),
        model=model,
        schedule=ScheduleConfig(
            epochs=float(epochs),
            name=spec.schedule.name,
            warmup_epochs=spec.schedule.warmup_epochs,
            decay_fraction=spec.schedule.decay_fraction or ScheduleConfig.decay_fraction,
        ),
        batch_size=spec.batch_size,
        learning_rate=float(rate),
        seed=seed,
        optimizer=OptimizerConfig(**spec.optimizer.model_dump()),
        numerics=NumericsConfig(**spec.numerics.model_dump()),
        label_smoothing=spec.label_smoothing,
        augment=AugmentConfig(**spec.augment.model_dump()),
        ema=spec.ema,
    )


def _planned(config: TrainConfig, resources: ResourcesField) -> PlannedRun:
    card, family = config.data.card, models.family(config.model.family)
    order = data.Order.of(config)
    macs = family.macs(config.model.name, config.model.options, num_classes=card.num_classes, image_shape=card.image_shape)
    train_flops = 6.0 * macs * order.total
    seconds = train_flops / (resources.core_count * resources.kind.peak_flops_per_core * resources.assumed_mfu)
    return PlannedRun(
        config=config,
        params=family.params(config.model.name, config.model.options, num_classes=card.num_classes, channels=card.image_shape[2]),
        steps=order.steps,
        examples_seen=order.total,
        unique_examples=order.unique_examples,
        train_flops=train_flops,
        estimated_seconds=seconds,
        estimated_core_hours=core_hours(resources.core_count, seconds),
    )
