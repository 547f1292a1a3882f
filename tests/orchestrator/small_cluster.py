"""A Ray cluster of several nodes on this machine, for tests: CPU nodes, and nodes that say of themselves that they are hosts of a TPU slice."""

import os
from contextlib import contextmanager

from tests.trainer.conftest import QUICKLY

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


@contextmanager
def small_cluster(head_cpus=0):
    """A `ray.cluster_utils.Cluster` that ends with the block."""
    from ray.cluster_utils import Cluster

    from orchestrator.cluster.ray_cluster import _nothing_unused

    quick = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_timeout_ms": 1000}
    head = {**NODE, "num_cpus": head_cpus, "_system_config": {**quick, "health_check_failure_threshold": 4}}
    with _nothing_unused():
        cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def tpu_host(cluster, slice_name, index, *, pod_type="v4-16", topology="2x2x2"):
    """A host of four chips, as Ray finds it on Google's machines; what is trained there runs on the CPU."""
    head = {f"TPU-{pod_type}-head": 1} if index == 0 else {}
    return cluster.add_node(
        **NODE,
        num_cpus=1,
        resources={"TPU": 4, "accelerator_type:TPU-V4": 1, slice_name: 1, **head},
        env_vars={
            "TPU_NAME": slice_name,
            "TPU_WORKER_ID": str(index),
            "TPU_ACCELERATOR_TYPE": pod_type,
            "TPU_TOPOLOGY": topology,
            "JAX_PLATFORMS": "cpu",
            "NPROC": "1",
            "XLA_FLAGS": QUICKLY,
        },
        labels={
            "ray.io/tpu-slice-name": slice_name,
            "ray.io/tpu-worker-id": str(index),
            "ray.io/tpu-pod-type": pod_type,
            "ray.io/tpu-topology": topology,
        },
    )
