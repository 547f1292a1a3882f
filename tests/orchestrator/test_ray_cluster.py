"""What a worker asks Ray for, kind by kind. Workers on real CPUs are in test_end_to_end; there is no GPU or TPU to start one on here."""

import pytest

from orchestrator.cluster.ray_cluster import _environment, _need
from scaling.accelerators import ACCELERATORS, accelerator
from scaling.errors import ClusterError, UnknownName


def test_a_cpu_run_holds_its_cores_and_computes_on_as_many_threads():
    assert _need(accelerator("cpu"), 3).num_cpus == 3
    assert _environment(accelerator("cpu"), 3)["NPROC"] == "3"


def test_a_gpu_run_holds_gpus():
    need = _need(accelerator("H100"), 2)
    assert (need.num_gpus, need.resources) == (2, {})
    assert _environment(accelerator("H100"), 2) == {}


def test_a_tpu_run_holds_the_chips_of_a_host_of_exactly_that_slice():
    """Without the label it could land on one host of a larger slice."""
    need = _need(accelerator("TPU-v4"), 4)
    assert (need.resources, need.label_selector) == ({"TPU": 4}, {"ray.io/tpu-pod-type": "v4-8"})


def test_a_slice_of_several_hosts_is_refused_in_words():
    with pytest.raises(ClusterError, match="spans several hosts"):
        _need(accelerator("TPU-v4"), 8)


def test_cores_of_a_chip():
    assert {name: kind.cores_per_chip for name, kind in ACCELERATORS.items()} == {
        "cpu": 1, "TPU-v2": 2, "TPU-v3": 2, "TPU-v4": 2, "TPU-v5e": 1, "TPU-v5p": 2, "TPU-v6e": 1, "A100": 1, "H100": 1, "H200": 1,
    }  # fmt: skip
    with pytest.raises(UnknownName, match='did you mean "H100"'):
        accelerator("h10")
