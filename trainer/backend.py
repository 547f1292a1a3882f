"""Settings of a backend before it compiles and runs a step. They change speed alone; `docs/speed.md` has the measurements.

On a CPU:
- Convolutions and matrix products go to Eigen. XLA would hand those it can to YNNPACK. That computes the kernel's gradient of a
  convolution, a window as large as the image, three times slower. Sums stay with YNNPACK: XLA's own, over all axes but the last, are
  slower still.
- Freed memory stays with the process. A step takes its temporaries in one piece of a hundred megabytes and more, and frees it at the
  end. The C library passes such pieces on to the kernel, which clears every page anew for the next step.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import jax

__all__ = ["compiler_options", "keep_freed_memory"]

_CPU: dict[str, str | bool] = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
_LARGEST = 2**31 - 1


@cache
def compiler_options() -> dict[str, str | bool] | None:
    """Return the options for `lowered.compile(compiler_options=…)`; None off the CPU, or where this jaxlib does not know the option."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=_CPU)
    except jax.errors.JaxRuntimeError:
        return None
    return _CPU


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep what this process frees for the next step. Return False where the C library is another one or refuses.

    One arena: blocks beyond 64 MB would otherwise be mapped and unmapped by whichever thread runs the step.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, 2**30), (_M_TRIM_THRESHOLD, _LARGEST), (_M_ARENA_MAX, 1))
    accepted = [mallopt(name, value) for name, value in settings]
    return all(accepted)
