"""Where runs run: Ray, a worker actor per hold of devices, a trainer process per model shape.

`ray_cluster` is what the scheduler talks to, `worker` the actor, `host` the trainer process it owns. Only `ray_cluster` loads Ray and
only `host` loads JAX.
"""

from orchestrator.cluster.ray_cluster import RayCluster, RemoteWorker, WorkerLost

__all__ = ["RayCluster", "RemoteWorker", "WorkerLost"]
