"""What a worker asks for: devices of one host, a TPU slice as a whole, or devices of several hosts; and how Ray is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from orchestrator.resources import Resources
from scaling.accelerators import Accelerator
from scaling.errors import ClusterError

__all__ = ["DeviceRequest", "ProcessRequest"]


@dataclass(frozen=True)
class ProcessRequest:
    """Says what one process asks Ray for."""

    num_cpus: float
    num_gpus: float
    resources: dict[str, float]
    label_selector: dict[str, str]

    @property
    def bundle(self) -> dict[str, float]:
        """Return the request as a bundle of a placement group."""
        asked = {"CPU": self.num_cpus, "GPU": self.num_gpus, **self.resources}
        return {name: amount for name, amount in asked.items() if amount}


@dataclass(frozen=True)
class DeviceRequest:
    """Asks for `chips` of `kind` (cores, for a CPU). `topology`: of a TPU slice; `wanted_hosts`: that the file wants them split over.

    stated: as `Resources` has it. Chips that are only stated take nothing of a node.
    """

    kind: Accelerator
    chips: int
    topology: str | None = None
    wanted_hosts: int | None = None
    stated: int | None = None

    @classmethod
    def of(cls, resources: Resources) -> DeviceRequest:
        """Make the request of a run's resources. `check` says whether it makes sense."""
        return cls(resources.kind, resources.chips, resources.topology, resources.hosts, resources.stated)

    @property
    def pool(self) -> str:
        """Return the name of the pool that its chips are taken from: those of a kind, or slices of one pod type."""
        return self.pod_type if self.is_tpu else self.kind.on_ray if self.stated is None else f"stated {self.kind.name}"

    @property
    def is_tpu(self) -> bool:
        """Say whether it asks for a slice of TPU chips."""
        return self.kind.is_tpu and self.stated is None

    @property
    def chips_per_host(self) -> int:
        """Return the chips of each of its hosts; all have equally many."""
        return self.chips // self.hosts

    @property
    def hosts(self) -> int:
        """Return the number of processes that train together, one a host."""
        if self.stated is not None:
            return 1
        if self.wanted_hosts:
            return self.wanted_hosts
        if self.kind.name == "cpu":
            return 1
        if self.is_tpu and self.kind.one_host_topologies and self.slice_topology in self.kind.one_host_topologies:
            return 1
        return max(1, -(-self.chips // self.kind.chips_per_host))

    @property
    def generation(self) -> str:
        """Return the generation of a TPU, as Ray's labels spell it."""
        return self.kind.generation or ""

    @property
    def slice_topology(self) -> str:
        """Return the topology of a TPU slice: as stated, or the usual one for its number of chips. Raises `ClusterError` without one."""
        if self.topology:
            return self.topology
        usual = self.kind.usual_topology(self.chips)
        if usual is None:
            raise ClusterError(
                f"there is no usual topology of {self.chips} {self.kind.name} chips",
                hint="write it: `resources: {accelerator: TPU-v4, topology: 2x2x2}`",
            )
        return usual

    @property
    def pod_type(self) -> str:
        """Return the pod type of a TPU slice, as nodes are labelled: `v4-16` has 16 cores on 8 chips."""
        return f"{self.generation}-{self.chips * self.kind.cores_per_chip}"

    @property
    def name(self) -> str:
        """Return the request in words, for messages: `4 TPU-v4 chips (2x2x1)`."""
        unit = "core" if self.kind.name == "cpu" else "chip"
        shape = f" ({self.slice_topology})" if self.is_tpu else ""
        return f"{self.chips} {self.kind.name} {unit}{'s' if self.chips > 1 else ''}{shape}"

    @property
    def need(self) -> ProcessRequest:
        """Return what the process on each host asks for."""
        if self.stated is not None:
            return ProcessRequest(0, 0, {}, {})
        chips = self.chips_per_host
        if self.kind.name == "cpu":
            return ProcessRequest(chips, 0, {}, {})
        if not self.is_tpu:
            return ProcessRequest(1, chips, {} if self.kind.is_any else {f"accelerator_type:{self.kind.on_ray}": 0.001}, {})
        return ProcessRequest(1, 0, {"TPU": chips}, {"ray.io/tpu-pod-type": self.pod_type})

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the trainer process, set before JAX starts.

        NPROC fixes the number of its threads, and with it the bits of its results, whatever the machine has.
        """
        if self.kind.name == "cpu" and self.stated is None:
            cores = str(self.chips_per_host)
            return {"NPROC": cores, "OMP_NUM_THREADS": cores, "JAX_PLATFORMS": "cpu"}
        return {}

    def check(self) -> DeviceRequest:
        """Return the request itself, if it makes sense. Raises `ClusterError`."""
        if self.topology and prod(int(side) for side in self.topology.split("x")) != self.chips:
            raise ClusterError(f"{self.topology} is not {self.chips} chips", hint="give one of `chips` and `topology`")
        if self.chips % self.hosts:
            raise ClusterError(
                f"{self.chips} {self.kind.name} do not split evenly over {self.hosts} hosts", hint="change `resources` in the file"
            )
        return self
