"""Two ways to compile in two thirds of the time, for tests in which programs of this code are compared with each other."""

import jax
import pytest

QUICKLY = "--xla_backend_optimization_level=0"
"""In `XLA_FLAGS` of a process of its own: XLA's graph is the same, but its machine code is not optimised."""


@pytest.fixture(scope="module")
def quick_compilation():
    """The same in this process.

    Not for a config that other files train too: a process keeps its programs, and their last bits may differ from those of optimised ones.
    """
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
