"""Compiles in a quarter of the time, for tests of what a step computes and not of how fast it is."""

from contextlib import contextmanager

import jax
import pytest

import trainer.compiled
from trainer import program
from trainer.backend import compiler_options

QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
"""Options of XLA, for what a test compiles itself: the same operations, in machine code that is not optimised."""
QUICKLY = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())
"""The same in `XLA_FLAGS` of a process of its own."""


@contextmanager
def compiling_quickly():
    """The same for all that this process compiles inside. Programs do not outlive it, since their last bits may be others."""
    before = jax.config.read("jax_disable_most_optimizations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.compiled, "compiler_options", lambda: (compiler_options() or {}) | QUICK)
        jax.config.update("jax_disable_most_optimizations", True)
        _forget_programs()
        try:
            yield
        finally:
            _forget_programs()
            jax.config.update("jax_disable_most_optimizations", before)


def _forget_programs():
    for kept in (program._program, program._compiler):
        kept.cache_clear()


@pytest.fixture(scope="module")
def quick_compilation():
    with compiling_quickly():
        yield
