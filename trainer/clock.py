"""Where an attempt's seconds go, and how fast it trains."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import jax

from scaling.accelerators import Accelerator, accelerator, accelerator_of_device
from trainer.result import Seconds

__all__ = ["Clock", "Pace", "peak_bytes", "peak_flops"]


class Clock:
    """Counts the seconds of an attempt's training, evaluation and checkpoints.

    Training is what passes inside `training` and is not set aside, waiting for data included. The clock runs from when it is made; the
    rest is start-up.
    runs: how many are trained at once. The clock shows one run's share, 1 / `runs` of the time that passed.
    """

    def __init__(self, *, runs: int = 1) -> None:
        self._runs, self._entered = runs, time.perf_counter()
        self._train = 0.0
        self._aside = {"evaluation": 0.0, "checkpoint": 0.0}
        self._since: float | None = None

    @property
    def train(self) -> float:
        """Return the seconds of training until now."""
        return self._trained() / self._runs

    @property
    def evaluation(self) -> float:
        return self._aside["evaluation"] / self._runs

    @property
    def checkpoint(self) -> float:
        return self._aside["checkpoint"] / self._runs

    @contextmanager
    def training(self) -> Iterator[None]:
        """Count this block as training, except for what `aside` sets aside."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._train, self._since = self._trained(), None

    @contextmanager
    def aside(self, what: Literal["evaluation", "checkpoint"]) -> Iterator[None]:
        """Count this block as evaluation or checkpoint, not as training. Devices must have done what they were given before it."""
        started, was_training = time.perf_counter(), self._since is not None
        self._train, self._since = self._trained(), None
        try:
            yield
        finally:
            now = time.perf_counter()
            self._aside[what] += now - started
            self._since = now if was_training else None

    def forget_after(self, train_seconds: float) -> None:
        """Set training back to `train_seconds`: what came after was lost, and counts as start-up of what follows."""
        self._train, self._since = train_seconds * self._runs, None

    def seconds(self) -> Seconds:
        """Return the seconds until now by kind. What is none of the others is start-up."""
        rest = (time.perf_counter() - self._entered) / self._runs - self.train - self.evaluation - self.checkpoint
        return Seconds(max(0.0, rest), self.train, self.evaluation, self.checkpoint)

    def _trained(self) -> float:
        return self._train + (time.perf_counter() - self._since if self._since is not None else 0.0)


@dataclass(frozen=True)
class Pace:
    """Says how fast a stretch of steps went.

    examples_per_second, step_seconds: over the train clock, so without evaluations and checkpoints.
    mfu: model FLOPs utilisation: 6 × MACs × examples/s over the devices' peak (dense bf16); None where the peak or the work is not known.
    input_stall: share of the time in which the loop waited for examples, 0 … 1.
    memory_bytes: the most held so far, of device memory where the device counts it, else by the process.
    """

    examples_per_second: float
    step_seconds: float
    mfu: float | None
    input_stall: float
    memory_bytes: int | None

    @classmethod
    def of(
        cls,
        *,
        steps: int,
        examples: int,
        seconds: float,
        stalled_seconds: float,
        flops_per_example: float | None,
        peak: float | None,
    ) -> Pace:
        """Compute the pace of `steps` steps with `examples` examples in `seconds`. peak: FLOP/s of all devices together."""
        seconds = max(seconds, 1e-9)
        return cls(
            examples_per_second=examples / seconds,
            step_seconds=seconds / max(1, steps),
            mfu=flops_per_example * examples / seconds / peak if peak and flops_per_example is not None else None,
            input_stall=min(1.0, stalled_seconds / seconds),
            memory_bytes=peak_bytes(),
        )


def peak_flops(devices: Sequence[jax.Device], declared: Sequence[Accelerator] = ()) -> float | None:
    """Return the peak FLOP/s of these devices together (dense bf16); None for a kind that is not known.

    Known are those of `scaling.accelerators`, and `declared`, which a user adds. CPU devices of one process are one CPU, however many of
    them are simulated; it has NPROC cores.
    """
    if devices[0].platform == "cpu":
        processes = {device.process_index for device in devices}
        cores = len(processes) * int(os.environ.get("NPROC") or os.cpu_count() or 1)
        return cores * (accelerator("cpu").peak_flops or 0.0)
    kind = accelerator_of_device(devices[0].device_kind, declared)
    peak = kind.peak_flops_per_device if kind else None
    return len(devices) * peak if peak else None


def peak_bytes() -> int | None:
    """Return the most bytes held so far on the first local device; on CPU, by the process."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        return int(statistics["peak_bytes_in_use"])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
