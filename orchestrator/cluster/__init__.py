"""Executes runs on Ray: a worker actor per request for devices, a trainer process for each.

| file | what it holds |
|---|---|
| `protocol` | what a scheduler needs of a cluster |
| `ray_cluster` | Ray's implementation of it |
| `device_request` | what a worker asks for |
| `worker`, `host_group` | the actor on one host; the one that holds several as one |
| `mailbox` | the events of a worker, until they are in the store |
| `host`, `trainers` | the trainer process, and how it trains; only `host` loads JAX |
"""

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.cluster.protocol import Cluster, RemoteWorker, WorkerLost, WorkerUnreachable
from orchestrator.cluster.ray_cluster import RayCluster, RayGone

__all__ = ["Cluster", "DeviceRequest", "RayCluster", "RayGone", "RemoteWorker", "WorkerLost", "WorkerUnreachable"]
