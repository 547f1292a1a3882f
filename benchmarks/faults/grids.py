"""The grids of rounds."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

__all__ = ["REAL", "alike", "finetuned", "programmed", "rehearsed"]

REHEARSED = """\
name: round-{round}
dataset: {{name: declared, title: faults, train_examples: 200000, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}}
models: [F0, F1]
epochs: {epochs}
batch_size: 100
learning_rate: {{F0: {{grid: [0.1, 1000000.0], epochs: [1], otherwise: 0.1}}, F1: 0.1}}
seeds: [{round}]
resources: {{accelerator: TPU-v4, topology: 1x1x1}}
simulate: {{chips: 4, speed: {speed}}}
"""
FINETUNED = """\
name: finetuned
dataset: {{name: declared, title: faults, train_examples: 200000, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}}
models: [F0, F1]
epochs: [1, 1.5, 2]
batch_size: 100
learning_rate: 0.1
resources: {{accelerator: TPU-v4, topology: 1x1x1}}
simulate: {{chips: 4, speed: {speed}}}
finetune:
  dataset: {{name: declared, title: tuned, train_examples: 200000, validation_examples: 100, num_classes: 3, image_shape: [32, 32, 3]}}
  from: frontier
  epochs: 1
  learning_rate: {{policy: two-trial, start: 0.1}}
"""
ALIKE = """\
name: alike
dataset: {{name: declared, title: faults, train_examples: 200000, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}}
models: [F0]
epochs: {epochs}
batch_size: 100
learning_rate: 0.1
seeds: {runs}
resources: {{accelerator: TPU-v4, topology: 1x1x1}}
simulate: {{chips: {slots}, speed: {speed}}}
"""
_STEPS_AN_EPOCH = 2000
REAL = """\
name: round-{round}
dataset: {{name: digits}}
models: [nano-F0]
epochs: {epochs}
batch_size: 64
learning_rate: {{grid: [0.05, 1.0e30], epochs: [1], otherwise: 0.05}}
seeds: [0]
optimizer: {{clip: null}}
resources: {{accelerator: cpu, cores: 1}}
"""
PROGRAM = """\
name: programs
trainer:
  command: [{python}, train.py, --width, "{{width}}", --epochs, "{{epochs}}", --lr, "{{learning_rate}}", --seed, "{{seed}}"]
  silence_seconds: {silence}
models: [{{name: w8, width: 8, params: 40, macs: 40}}, {{name: w32, width: 32, params: 160, macs: 160}}]
epochs: {epochs}
learning_rate: {{w8: {{grid: [0.1, 1.0e+30], epochs: [10], otherwise: 0.1}}, w32: 0.1}}
seeds: [0]
resources: {{accelerator: cpu, cores: 1}}
"""


def rehearsed(number: int, *, runs: int = 12) -> str:
    """The grid of a round: `runs` of each of two models, of one to five seconds, and one that diverges.

    No two of a model are equally long, so that what was cut short goes first again.
    """
    epochs = [round(1 + 0.1 * place, 2) for place in range(runs)]
    return REHEARSED.format(round=number, epochs=epochs, speed=_speed())


def finetuned() -> str:
    """The grid of the family `finetuned`: six runs, of which those on the frontier are fine-tuned, at rates that are searched for."""
    return FINETUNED.format(speed=_speed())


def programmed(*, silence: float) -> str:
    """The grid of the family `program`: four runs of each of two models, of one to five seconds, and one that diverges.

    silence: seconds after which a program that reports nothing is killed.
    """
    return PROGRAM.format(python=sys.executable, epochs=[10, 20.3, 35.1, 50], silence=silence)


def alike(runs: int, *, steps: int, step_seconds: float, slots: int) -> str:
    """A grid of `runs` runs of as many steps of as many seconds, `slots` at once."""
    epochs = steps / _STEPS_AN_EPOCH
    return ALIKE.format(runs=list(range(runs)), epochs=[epochs], slots=slots, speed=_speed() / _STEPS_AN_EPOCH / step_seconds)


def _speed() -> float:
    """Simulated seconds a second at which F0's epoch takes one."""
    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.plan import make_plan

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(REHEARSED.format(round=0, epochs=[1], speed=1.0))
        file.flush()
        return make_plan(*read_spec(Path(file.name), simulate=True)).runs[0].estimated_seconds
