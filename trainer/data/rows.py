"""The rows of one step while they are filled, by this process or by several."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scaling.errors import DataError
from trainer.data.batch import Skipped
from trainer.data.dataset import BadExample, Examples
from trainer.data.images.preparation import Preparation
from trainer.data.order import Draws

__all__ = ["Rows", "called", "read_into"]


@dataclass
class Rows:
    """Holds the rows of one step: row k is position `draws.positions[k]`, and rows past them are padding.

    pixels: [B, H, W, C], uint8 or float32. labels: [B] int32. ids: [len(draws.ids)] int64, of what was read.
    """

    step: int
    draws: Draws
    pixels: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    skipped: list[Skipped] = field(default_factory=list)

    @classmethod
    def empty(cls, step: int, draws: Draws, pixels: np.ndarray) -> Rows:
        """Make rows of which nothing is read yet; `pixels` is the memory to fill."""
        return cls(step, draws, pixels, np.zeros(len(pixels), np.int32), np.full(len(draws.ids), -1, np.int64))


def read_into(rows: Rows, row: int, examples: Examples, preparation: Preparation) -> None:
    """Read and prepare one row. One that cannot be used is noted among the skipped, and its id is the one that was asked for.

    Raises `DataError` when it is not the example that is at fault but what it lies on: a lost mount, a disk that fails.
    """
    wanted, epoch, copy = (int(part[row]) for part in (rows.draws.ids, rows.draws.epochs, rows.draws.copies))
    try:
        example = examples[wanted]
        rows.ids[row] = example["id"]
        rows.pixels[row], rows.labels[row] = preparation(example, epoch, copy)
    except (BadExample, FileNotFoundError, PermissionError) as error:
        rows.ids[row] = wanted
        rows.skipped.append((rows.draws.positions[row], wanted, str(error)))
    except OSError as error:
        raise DataError(
            f"example {called(wanted, examples)} cannot be read: {error}", hint="see to the disk or the mount, then `scaling retry`"
        ) from error


def called(number: int, examples: Examples) -> str:
    """Return an example's number, and its name where the data set has names."""
    name = getattr(examples, "name", None)
    return f"{number} ({name(number)})" if name else str(number)
