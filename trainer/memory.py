"""Whether a step fits its device, and which micro-batch would."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
from jax.stages import Compiled

__all__ = ["device_memory_bytes", "fitting_micro_batch", "is_out_of_memory", "program_bytes"]


def program_bytes(compiled: Compiled) -> int:
    """Count the bytes that a compiled program needs on one device at its peak, by XLA's own assignment of buffers.

    They are arguments and results (donated ones count once), temporaries and code.
    """
    stats = compiled.memory_analysis()
    assert stats is not None
    return (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        - stats.alias_size_in_bytes
        + stats.temp_size_in_bytes
        + stats.generated_code_size_in_bytes
    )


def device_memory_bytes(device: jax.Device) -> int | None:
    """Return the bytes of a device's memory that JAX may use.

    None where the backend does not say (the CPU, whose memory is the machine's).
    """
    stats = device.memory_stats()
    return stats.get("bytes_limit") if stats else None


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an exception means that memory ran out: Python's own, this project's, or XLA's RESOURCE_EXHAUSTED."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


def fitting_micro_batch(
    need: Callable[[int], float], sizes: Sequence[int], *, limit: int, start: tuple[int, float], fixed: int = 0
) -> tuple[int, float] | None:
    """Find the largest micro-batch that is known to fit, with its need in bytes; None when none does.

    Args:
        need: bytes at a micro-batch; costly (it compiles), `inf` when the compiler itself refuses.
        sizes: allowed micro-batches.
        limit: bytes of the device.
        start: a micro-batch that was tried, and its need, above the limit.
        fixed: bytes needed whatever the micro-batch.

    The need beyond `fixed` is about proportional to the micro-batch. That guesses the next size to try, and only what has been compiled
    counts as fitting. Usually one size is compiled.
    """
    tried, bytes_tried = start
    while True:
        varying = bytes_tried - fixed
        guess = tried * (limit - fixed) / varying if 0 < varying < math.inf else tried / 2
        smaller = [size for size in sizes if size < tried]
        if not smaller:
            return None
        tried = max((size for size in smaller if size <= guess), default=min(smaller))
        bytes_tried = need(tried)
        if bytes_tried <= limit:
            return tried, bytes_tried
