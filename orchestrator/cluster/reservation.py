"""Reserves several hosts at once, or none of them: a placement group of Ray's, of one TPU slice where the chips are TPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from orchestrator.cluster.device_request import DeviceRequest

__all__ = ["Reservation", "elsewhere", "give_back"]

_WORKER_ID = "ray.io/tpu-worker-id"


def elsewhere(nodes: Iterable[str]) -> dict[str, str]:
    """Return Ray's label selector for any node but these; empty without any."""
    listed = ", ".join(sorted(nodes))
    return {"ray.io/node-id": f"!in({listed})"} if listed else {}


def give_back(name: str) -> None:
    """Give back the hosts of a reservation of this name, if there is one."""
    import ray

    with contextlib.suppress(ValueError, ray.exceptions.RayError):
        ray.util.remove_placement_group(ray.util.get_placement_group(name))


class Reservation:
    """Reserves the hosts of a request, inside the actor that uses them. Waits until all hosts are there.

    It ends with that actor when the actor is a detached one. Otherwise Ray keeps it until the driver goes, so whoever kills such an actor
    gives the reservation back by its name.

    Hosts of a TPU slice are those of one slice, found by its label: two halves of two slices have no network between them.

    avoided: nodes that are not taken; of a slice, whose hosts are chosen by the slice's name, any may be.
    """

    def __init__(self, request: DeviceRequest, *, name: str = "", avoided: Iterable[str] = ()) -> None:
        import ray

        self._request, self._slice = request, None
        need = request.need
        if request.is_tpu:
            from ray.util.tpu import SlicePlacementGroup

            self._slice = SlicePlacementGroup(
                topology=request.slice_topology,
                accelerator_version=request.generation,
                resources_per_bundle=need.bundle,
                strategy="STRICT_SPREAD",
                chips_per_vm=request.chips_per_host,
                head_reservation_timeout_s=None,
            )
            self._group: Any = self._slice.slice_placement_group
        else:
            labels = elsewhere(avoided)
            self._group = ray.util.placement_group(
                [need.bundle] * request.hosts,
                strategy="SPREAD",
                name=name,
                bundle_label_selector=[labels] * request.hosts if labels else None,
            )
        ray.get(self._group.ready())

    def options(self) -> list[dict[str, object]]:
        """Return the options that the actor on each host is started with."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        need = self._request.need
        return [
            {
                "num_cpus": need.num_cpus,
                "num_gpus": need.num_gpus,
                "resources": need.resources,
                "scheduling_strategy": PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=index),
            }
            for index in range(self._request.hosts)
        ]

    def ranks(self, nodes: list[str]) -> list[int]:
        """Return the place in the group of the process on each of these nodes: in a slice its host's number, by which chips are wired."""
        import ray

        if not self._request.is_tpu:
            return list(range(len(nodes)))
        labels = {node["NodeID"]: node.get("Labels") or {} for node in ray.nodes()}
        return [int(labels[node][_WORKER_ID]) for node in nodes]

    def release(self) -> None:
        """Give all hosts back."""
        import ray

        if self._slice is not None:
            self._slice.shutdown()
        else:
            ray.util.remove_placement_group(self._group)
