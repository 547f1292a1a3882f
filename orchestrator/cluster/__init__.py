"""Where runs run: Ray, a worker actor per hold of devices, a trainer process for each.

`ray_cluster` is what the scheduler talks to, `hold` what a worker holds, `worker` the actor on one host, `gang` the one that holds several
as one, `mailbox` what they have to say, `host` the trainer process. Only `host` loads JAX.
"""

from orchestrator.cluster.hold import Hold
from orchestrator.cluster.ray_cluster import RayCluster, RayGone, RemoteWorker, WorkerLost, WorkerUnreachable

__all__ = ["Hold", "RayCluster", "RayGone", "RemoteWorker", "WorkerLost", "WorkerUnreachable"]
