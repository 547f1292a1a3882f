"""Batches in the order of a run, read ahead by worker processes or made on demand.

Step s holds the same examples, augmented the same way, whatever the number of workers, hosts, devices or restarts. The content of a row
is a function of (seed, position), and each host reads its own slice of each global batch.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from scaling.errors import DataError, DataFault, UsageError
from trainer.data.assembly import Assembly
from trainer.data.batch import Batch
from trainer.data.dataset import ArrayExamples, BadExample, Examples
from trainer.data.images.mix import Mixing
from trainer.data.images.preparation import Preparation
from trainer.data.normalization import IMAGENET, Normalization
from trainer.data.order import Draws, InOrder
from trainer.data.rows import Rows, called, read_into

if TYPE_CHECKING:
    from trainer.config import TrainConfig
    from trainer.data.dataset import DataCard
    from trainer.execution import Execution

__all__ = ["Loader", "Positions", "open_evaluation", "open_loader", "too_many_skipped"]

_SKIPPED_SHARE = 0.01
"""ASSUMPTION: of the examples read so far. Published image sets have far fewer that are damaged."""
_SKIPPED_AT_LEAST = 10
"""One damaged image in the first batch stops nothing."""


def too_many_skipped(skipped: int, read: int) -> bool:
    """Say whether a run stops for want of examples: more than one in a hundred of those read were skipped, and ten at least.

    This holds for `on_bad_example: skip` as well.
    """
    return skipped >= _SKIPPED_AT_LEAST and skipped > _SKIPPED_SHARE * read


class Positions(Protocol):
    """Says which positions a step has and what they stand for: `Order` for training, `InOrder` for evaluation."""

    @property
    def batch_size(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def repeats(self) -> int: ...
    def positions(self, step: int) -> range: ...
    def draws(self, span: range) -> Draws: ...


class Loader:
    """Iterates over batches. Leaving its `with` block, or `close`, ends its workers.

    stalled_seconds: time that the caller has spent waiting for batches.
    """

    def __init__(self, batches: Iterator[Batch], close: Callable[[], None] = lambda: None) -> None:
        self._batches = batches
        self._close = weakref.finalize(self, close)  # also when it is dropped, and when the interpreter ends
        self.stalled_seconds = 0.0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        started = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self.stalled_seconds += time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading ahead. Safe to call twice."""
        self._close()


def open_loader(
    examples: Examples,
    order: Positions,
    *,
    config: TrainConfig,
    execution: Execution,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Loader:
    """Open the training batches from step `first_step` to the last of `order`.

    Args:
        examples: the training split.
        order: which example is where; `Order.of(config)`.
        config: what is done to an image (`augment`, `seed`) and what it must be (the data set's card).
        execution: `workers` and `on_bad_example`.
        shard: (index, count) of this host among those that read slices of each global batch.

    Raises:
        UsageError: the batch does not split over the hosts, or the order is not the config's.
        DataError: while iterating, an example that cannot be used, unless `on_bad_example` is `skip`; then, when more than one in
            a hundred cannot (`too_many_skipped`), or the disk fails.
    """
    if order.repeats != config.augment.repeats:
        raise UsageError(
            f"the order has {order.repeats} copies of an example, the config {config.augment.repeats}", hint="use Order.of(config)"
        )
    card = config.data.card
    preparation = Preparation(card.image_shape, card.num_classes, config.seed, config.augment)
    augment, mixing = config.augment, None
    if augment.mixes:
        mixing = Mixing(augment.mixup, augment.cutmix, augment.repeats, config.seed, config.batch_size)
    return _open(examples, order, preparation, execution, first_step, shard, mixing=mixing)


def open_evaluation(
    examples: Examples, *, card: DataCard, batch_size: int, execution: Execution, shard: tuple[int, int] = (0, 1)
) -> Loader:
    """Open the batches of a held-out split: every example once, in order, unaugmented.

    The shorter side is resized and the centre cut out, at the card's `eval_shape`. Raises as `open_loader`, but for any example that cannot
    be used: runs are compared on the same held-out images or not at all.
    """
    execution = replace(execution, on_bad_example="fail")
    preparation = Preparation(card.eval_shape, card.num_classes, margin_px=card.evaluation_margin_px)
    return _open(examples, InOrder(len(examples), batch_size), preparation, execution, 0, shard)


def _open(
    examples: Examples,
    order: Positions,
    preparation: Preparation,
    execution: Execution,
    first_step: int,
    shard: tuple[int, int],
    mixing: Mixing | None = None,
) -> Loader:
    index, count = shard
    # Rows that belong together stay together on one host; with one host only the copies of an example have to fit into the batch.
    unit = count * order.repeats * (2 if mixing and count > 1 else 1)
    if order.batch_size % unit:
        raise UsageError(
            f"a batch of {order.batch_size} does not split over {count} hosts with {order.repeats} copies of an example"
            + (" in pairs" if mixing else ""),
            hint=f"make batch_size a multiple of {unit}",
        )
    kind, normalization = _pixel_type(examples), _normalization(examples, preparation.shape[2])
    _check_randaugment(preparation, kind, normalization)
    slices = _Slices(order, index, order.batch_size // count)
    steps = range(first_step, order.steps)
    assembly = Assembly(normalization, mixing, index * slices.size)
    if isinstance(examples, ArrayExamples) and preparation.leaves_alone(examples.image_shape):
        return Loader(_gathered(examples, slices, assembly, steps, preparation))

    tally = _Tally(len(examples))

    def finish(rows: Rows) -> Batch:
        if rows.skipped and execution.on_bad_example == "fail":
            raise _bad_example(min(rows.skipped), examples, preparation)
        if name := getattr(examples, "name", None):
            rows.skipped = [(position, number, f"{name(number)}: {reason}") for position, number, reason in rows.skipped]
        tally.add(rows)
        return assembly.batch(rows)

    if execution.workers == 0:
        return Loader(_read_here(examples, preparation, slices, kind, steps, finish))

    from trainer.data.readers import ReaderPool

    pool = ReaderPool(
        examples,
        preparation,
        workers=execution.workers,
        size=slices.size,
        kind=kind,
        steps=steps,
        draws=slices.draws,
        finish=finish,
    )
    return Loader(pool.batches(), pool.close)


class _Tally:
    """Counts which of `examples` examples this host has read and skipped so far, each once.

    So a long run is not stopped for what a short one may skip. Some images of a data set are damaged; a folder that is gone is another
    matter.
    """

    def __init__(self, examples: int) -> None:
        self._examples, self._read = examples, 0
        self._skipped: set[int] = set()

    def add(self, rows: Rows) -> None:
        """Count the rows of a step. Raises `DataFault` when too many were skipped.

        Its words are the same whatever the order of the run, so that several runs say them alike.
        """
        self._read = min(self._read + len(np.unique(rows.draws.ids)), self._examples)
        self._skipped.update(number for _, number, _ in rows.skipped)
        if rows.skipped and too_many_skipped(len(self._skipped), self._read):
            raise DataFault(
                f"more than {_SKIPPED_SHARE:.0%} of the training examples are unreadable, too many to be skipped: is the folder still there?",
                hint="`scaling submit FILE --dry-run` names them and says why; mend or remove them and submit again",
            )


class _Slices:
    """Cuts this host's part out of each step: `size` rows from row `index · size` on."""

    def __init__(self, order: Positions, index: int, size: int) -> None:
        self.order, self.size, self._first = order, size, index * size

    def draws(self, step: int) -> Draws:
        whole = self.order.positions(step)
        start = min(whole.start + self._first, whole.stop)
        return self.order.draws(range(start, min(start + self.size, whole.stop)))


def _gathered(
    examples: ArrayExamples, slices: _Slices, assembly: Assembly, steps: range, preparation: Preparation
) -> Iterator[Batch]:
    """Yield batches of arrays in memory that need no preparation.

    A batch is one indexing operation, quicker than any other process could send it.
    """
    for step in steps:
        draws = slices.draws(step)
        images, labels, *came = examples.gather(draws.ids)
        ids = came[0] if came else draws.ids
        asked = len(draws.ids)
        if found := {len(images), len(labels), len(ids)} - {asked}:
            raise DataError(
                f"step {step}: {min(found)} examples came where {asked} were asked for",
                hint="mend `gather` of the data set: an image, a label and an id for each id that it is given",
            )
        if len(others := np.flatnonzero((labels < 0) | (labels >= preparation.num_classes))):
            reason = f"label {labels[others[0]]} is not one of 0 … {preparation.num_classes - 1}"
            raise _bad_example((0, int(ids[others[0]]), reason), examples, preparation)
        missing = slices.size - asked
        if missing:
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
            labels = np.concatenate([labels, np.zeros(missing, labels.dtype)])
        yield assembly.of_images(step, draws, images, labels, ids)


def _read_here(
    examples: Examples, preparation: Preparation, slices: _Slices, kind: str, steps: range, finish: Callable[[Rows], Batch]
) -> Iterator[Batch]:
    """Yield batches that this process reads when they are asked for."""
    pixels = np.empty((slices.size, *preparation.shape), kind)
    for step in steps:
        rows = Rows.empty(step, slices.draws(step), pixels)
        for row in range(len(rows.draws.ids)):
            read_into(rows, row, examples, preparation)
        yield finish(rows)


def _bad_example(skipped: tuple[int, int, str], examples: Examples, preparation: Preparation) -> DataFault:
    """Word the error that ends a run whose policy is `fail`."""
    _, number, reason = skipped
    split, hint = "train", ", or set `execution: {on_bad_example: skip}`: skipped examples are named in the audit"
    if preparation.augment is None:
        split, hint = "validation", "; a held-out image is never skipped"
    return DataFault(f"{split} example {called(number, examples)}: {reason}", hint=f"mend or remove it and submit again{hint}")


def _check_randaugment(preparation: Preparation, kind: str, normalization: Normalization) -> None:
    if preparation.augment is None or not preparation.augment.randaugment_layers:
        return
    if kind != "u1" or normalization.full_scale != 255:
        found = "float32" if kind != "u1" else f"0 … {normalization.full_scale:g}"
        raise UsageError(
            f"RandAugment is for pixels 0 … 255, this data set has {found}", hint="leave out augment.randaugment_layers"
        )


def _pixel_type(examples: Examples) -> str:
    """Return NumPy's code for the pixels that the data set gives, `f4` or `u1`, by its first readable example."""
    for index in range(min(len(examples), 16)):
        with suppress(BadExample, OSError):
            image = examples[index]["image"]
            return "f4" if isinstance(image, np.ndarray) and image.dtype == np.float32 else "u1"
    return "u1"


def _normalization(examples: Examples, channels: int) -> Normalization:
    stated = getattr(examples, "normalization", None)
    return stated or (IMAGENET if channels == 3 else Normalization(0.5, 0.5))
