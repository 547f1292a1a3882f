"""What a Ray cluster has: nodes by their resources and labels, TPU slices that are whole, and how to say so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from orchestrator.cluster.hold import Hold
from scaling.errors import ClusterError

__all__ = ["HEAD", "Node", "check_local", "checked_room", "inventory", "lacking", "local_cores", "nodes_alive", "room"]

Node = dict[str, Any]

HEAD = "node:__internal_head__"
"""A resource that only the head has."""

_POD_TYPE, _TOPOLOGY = "ray.io/tpu-pod-type", "ray.io/tpu-topology"
_SLICE, _WORKER_ID = "ray.io/tpu-slice-name", "ray.io/tpu-worker-id"


def nodes_alive() -> list[Node]:
    """Ray's nodes, as `ray.nodes()` gives them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def local_cores() -> int:
    """Of this machine, as far as this process may use them: what a Ray of our own is given."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_local(hold: Hold) -> None:
    """Raise `ClusterError` when this machine alone has not the CPU cores of such a hold, as a Ray of our own would. Loads no Ray."""
    if hold.kind.name == "cpu":
        checked_room(hold, [{"NodeID": "", "Resources": {"CPU": float(local_cores())}}], "local")


def checked_room(hold: Hold, nodes: Sequence[Node], address: str) -> int:
    """`room`. Raises `ClusterError` when not even one such hold fits, and says what there is at the address."""
    if (found := room(hold, nodes)) < hold.chips:
        raise ClusterError(
            f"a run needs {hold.name}{' on one node' if hold.hosts == 1 else f' on {hold.hosts} hosts'}; {lacking(hold, nodes)}"
            f" at {address} has {inventory(hold, nodes)}",
            hint="change `resources` in the file, or add nodes",
        )
    return found


def room(hold: Hold, nodes: Sequence[Node]) -> int:
    """Chips that holds like this one can have of these nodes in all; 0 when not even one fits."""
    if hold.is_tpu and hold.hosts > 1:
        return hold.chips * len(_whole_slices(hold, nodes))
    hosts = sum(int(_amount(hold, node) // hold.chips_per_host) for node in nodes)  # what is left over on a node is of no use
    return hold.chips_per_host * hosts if hosts >= hold.hosts else 0


def lacking(hold: Hold, nodes: Sequence[Node]) -> str:
    """Subject of the sentence that says what there is instead."""
    return f"the largest of the {len(nodes)}" if hold.hosts == 1 and not hold.is_tpu else f"the cluster of {len(nodes)} nodes"


def inventory(hold: Hold, nodes: Sequence[Node]) -> str:
    """What there is, as far as it matters for such a hold: `8 CPU, slices 2 × v4-8`."""
    if hold.kind.name == "cpu" and hold.hosts == 1:
        return f"{max((_amount(hold, node) for node in nodes), default=0):g} CPU"
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
    if not gpus and not hold.is_tpu:
        parts.append("no GPU")
    if not slices and hold.is_tpu:
        parts.append("no TPU")
    return ", ".join(parts)


def _amount(hold: Hold, node: Node) -> float:
    """Chips of a node that such a hold may use."""
    resources, labels = node["Resources"], node.get("Labels") or {}
    if hold.kind.name == "cpu":
        return resources.get("CPU", 0)
    if hold.is_tpu:
        return resources.get("TPU", 0) if labels.get(_POD_TYPE) == hold.pod_type else 0
    return resources.get("GPU", 0) if _gpu_kind(node) == hold.kind.name else 0


def _gpu_kind(node: Node) -> str:
    """Ray shows the kind of a node's GPUs as a resource, `accelerator_type:H100`."""
    kinds = [name.removeprefix("accelerator_type:") for name in node["Resources"] if name.startswith("accelerator_type:")]
    return kinds[0] if kinds else "GPU"


def _whole_slices(hold: Hold, nodes: Sequence[Node]) -> list[str]:
    """Names of slices of this pod type of which every host is there."""
    hosts: dict[str, set[str]] = {}
    for node in nodes:
        labels = node.get("Labels") or {}
        same = labels.get(_POD_TYPE) == hold.pod_type and labels.get(_TOPOLOGY, hold.slice_topology) == hold.slice_topology
        if same and node["Resources"].get("TPU", 0) >= hold.chips_per_host:
            hosts.setdefault(labels.get(_SLICE, ""), set()).add(labels.get(_WORKER_ID, ""))
    return [name for name, found in hosts.items() if len(found) == hold.hosts]
