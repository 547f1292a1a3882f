"""Where runs run: Ray, a worker actor per request for devices, a trainer process for each.

`protocol` says what a scheduler needs of a cluster and `ray_cluster` is Ray's, `device_request` what a worker asks for, `worker` the actor on one host,
`host_group` the one that holds several as one, `mailbox` what they have to say, `host` the trainer process, `trainers` how it trains. Only `host` loads JAX.
"""

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.cluster.protocol import Cluster, RemoteWorker, WorkerLost, WorkerUnreachable
from orchestrator.cluster.ray_cluster import RayCluster, RayGone

__all__ = ["Cluster", "DeviceRequest", "RayCluster", "RayGone", "RemoteWorker", "WorkerLost", "WorkerUnreachable"]
