"""What a Ray cluster has: nodes by their resources and labels, TPU slices that are whole, and how to word it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from orchestrator.cluster.device_request import DeviceRequest
from scaling.errors import ClusterError

__all__ = ["HEAD", "Node", "capacity", "check_local", "checked_capacity", "inventory", "lacking", "local_cores", "nodes_alive"]

Node = dict[str, Any]

HEAD = "node:__internal_head__"
"""A resource that only the head has."""

_POD_TYPE, _TOPOLOGY = "ray.io/tpu-pod-type", "ray.io/tpu-topology"
_SLICE, _WORKER_ID = "ray.io/tpu-slice-name", "ray.io/tpu-worker-id"


def nodes_alive() -> list[Node]:
    """List Ray's nodes that are alive, as `ray.nodes()` gives them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def local_cores() -> int:
    """Count this machine's cores that this process may use: a Ray of our own is given these."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_local(request: DeviceRequest) -> None:
    """Raise `ClusterError` when this machine alone lacks the CPU cores of such a request, as a Ray of our own would. Loads no Ray."""
    if request.kind.name == "cpu":
        checked_capacity(request, [{"NodeID": "", "Resources": {"CPU": float(local_cores())}}], "local")


def checked_capacity(request: DeviceRequest, nodes: Sequence[Node], address: str) -> int:
    """Return `capacity`. Raises `ClusterError` when not even one such request fits, and says what there is at the address."""
    if (found := capacity(request, nodes)) < request.chips:
        raise ClusterError(
            f"a run needs {request.name}{' on one node' if request.hosts == 1 else f' on {request.hosts} hosts'}; {lacking(request, nodes)}"
            f" at {address} has {inventory(request, nodes)}",
            hint="change `resources` in the file, or add nodes",
        )
    return found


def capacity(request: DeviceRequest, nodes: Sequence[Node]) -> int:
    """Count the chips that requests like this one can have of these nodes in all; 0 when not even one fits."""
    if request.is_tpu and request.hosts > 1:
        return request.chips * len(_whole_slices(request, nodes))
    hosts = sum(int(_amount(request, node) // request.chips_per_host) for node in nodes)  # what is left over on a node is of no use
    return request.chips_per_host * hosts if hosts >= request.hosts else 0


def lacking(request: DeviceRequest, nodes: Sequence[Node]) -> str:
    """Return the subject of the sentence that says what there is instead."""
    return f"the largest of the {len(nodes)}" if request.hosts == 1 and not request.is_tpu else f"the cluster of {len(nodes)} nodes"


def inventory(request: DeviceRequest, nodes: Sequence[Node]) -> str:
    """List in words what there is, as far as it matters for such a request: `8 CPU, slices 2 × v4-8`."""
    if request.kind.name == "cpu" and request.hosts == 1:
        return f"{max((_amount(request, node) for node in nodes), default=0):g} CPU"
    cpus = sum(node["Resources"].get("CPU", 0) for node in nodes)
    gpus: Counter[str] = Counter()
    slices: dict[str, set[str]] = {}
    for node in nodes:
        labels = node.get("Labels") or {}
        if count := node["Resources"].get("GPU", 0):
            gpus[_gpu_kind(node)] += int(count)
        if pod := labels.get(_POD_TYPE):
            slices.setdefault(pod, set()).add(labels.get(_SLICE) or node["NodeID"])
    parts = [f"{cpus:g} CPU", *(f"{count} {kind}" for kind, count in sorted(gpus.items()))]
    parts += [f"{len(names)} TPU slice{'s' if len(names) > 1 else ''} {pod}" for pod, names in sorted(slices.items())]
    if not gpus and not request.is_tpu:
        parts.append("no GPU")
    if not slices and request.is_tpu:
        parts.append("no TPU")
    return ", ".join(parts)


def _amount(request: DeviceRequest, node: Node) -> float:
    """Count the chips of a node that such a request may use."""
    resources, labels = node["Resources"], node.get("Labels") or {}
    if request.kind.name == "cpu":
        return resources.get("CPU", 0)
    if request.is_tpu:
        return resources.get("TPU", 0) if labels.get(_POD_TYPE) == request.pod_type else 0
    return resources.get("GPU", 0) if request.kind.is_any or _gpu_kind(node) == request.kind.on_ray else 0


def _gpu_kind(node: Node) -> str:
    """Return the kind of a node's GPUs, which Ray shows as a resource, `accelerator_type:H100`; `GPU` where it shows none."""
    kinds = [name.removeprefix("accelerator_type:") for name in node["Resources"] if name.startswith("accelerator_type:")]
    return kinds[0] if kinds else "GPU"


def _whole_slices(request: DeviceRequest, nodes: Sequence[Node]) -> list[str]:
    """List the names of slices of this pod type of which every host is there."""
    hosts: dict[str, set[str]] = {}
    for node in nodes:
        labels = node.get("Labels") or {}
        same = labels.get(_POD_TYPE) == request.pod_type and labels.get(_TOPOLOGY, request.slice_topology) == request.slice_topology
        if same and node["Resources"].get("TPU", 0) >= request.chips_per_host:
            hosts.setdefault(labels.get(_SLICE, ""), set()).add(labels.get(_WORKER_ID, ""))
    return [name for name, found in hosts.items() if len(found) == request.hosts]
