"""What a worker holds and asks Ray for, kind by kind, and what a cluster's nodes can give.

Workers on real nodes are in test_end_to_end and test_clusters; there is no GPU or TPU to start one on here.
"""

import pytest

from orchestrator.cluster import DeviceRequest
from orchestrator.cluster.inventory import capacity, inventory
from orchestrator.cluster.mailbox import Mailbox
from orchestrator.messages import Alive, Died, Left, Message
from scaling.accelerators import ACCELERATORS, accelerator
from scaling.errors import ClusterError
from tests.test_accelerators import DRIVERS
from trainer.events import Started

STARTED, DIED = Started(steps=9), Died(reason="killed", signal=9)


def request_of(name, chips, **more):
    return DeviceRequest(accelerator(name), chips, **more)


def node(number, *, labels=None, **resources):
    return {"NodeID": str(number), "Resources": resources, "Labels": labels or {}}


def tpu_host(number, slice_name, index, pod_type="v4-16", topology="2x2x2"):
    labels = {"pod-type": pod_type, "slice-name": slice_name, "worker-id": str(index), "topology": topology}
    return node(number, TPU=4, CPU=1, labels={f"ray.io/tpu-{name}": value for name, value in labels.items()})


def test_a_cpu_run_holds_its_cores_and_computes_on_as_many_threads():
    assert request_of("cpu", 3).need.num_cpus == 3
    assert request_of("cpu", 3).environment["NPROC"] == "3"


def test_a_gpu_run_holds_gpus_of_its_kind():
    need = request_of("H100", 2).need
    assert (need.num_gpus, list(need.resources)) == (2, ["accelerator_type:H100"])
    assert request_of("H100", 2).environment == {}


def test_a_tpu_run_holds_the_chips_of_a_host_of_exactly_that_slice():
    """Without the label it could land on one host of a larger slice."""
    need = request_of("TPU-v4", 4).need
    assert (need.resources, need.label_selector) == ({"TPU": 4}, {"ray.io/tpu-pod-type": "v4-8"})


@pytest.mark.parametrize(
    ("wanted", "hosts", "pod_type"),
    [
        (request_of("TPU-v4", 8, topology="2x2x2"), 2, "v4-16"),
        (request_of("TPU-v4", 128, topology="4x4x8"), 32, "v4-256"),
        (request_of("TPU-v5e", 8), 1, "v5litepod-8"),
        (request_of("TPU-v5e", 16), 4, "v5litepod-16"),
        (request_of("TPU-v5p", 4), 1, "v5p-8"),
        (request_of("TPU-v7", 4), 1, "v7x-8"),
        (request_of("Ironwood", 16), 4, "v7x-32"),
    ],
)
def test_a_slice_is_as_many_hosts_as_ray_counts(wanted, hosts, pod_type):
    from ray.util.tpu import get_tpu_worker_resources

    assert (wanted.hosts, wanted.pod_type) == (hosts, pod_type)
    workers, resources = get_tpu_worker_resources(wanted.slice_topology, wanted.generation)
    assert (workers, resources["TPU"]) == (hosts, wanted.chips_per_host)


def test_more_chips_than_a_host_has_are_split_over_hosts():
    assert (request_of("A100", 16).hosts, request_of("A100", 16).chips_per_host) == (2, 8)
    two = request_of("cpu", 4, wanted_hosts=2)
    assert (two.hosts, two.environment["NPROC"]) == (2, "2")
    with pytest.raises(ClusterError, match="do not split evenly"):
        request_of("A100", 9).check()
    with pytest.raises(ClusterError, match="is not 8 chips"):
        request_of("TPU-v4", 8, topology="2x2x1").check()


def test_a_slice_of_which_a_host_is_missing_is_no_slice():
    nodes = [tpu_host(0, "a", 0), tpu_host(1, "a", 1), tpu_host(2, "b", 0)]
    assert capacity(request_of("TPU-v4", 8), nodes) == 8
    assert capacity(request_of("TPU-v4", 8), [*nodes, tpu_host(3, "b", 1)]) == 16
    assert capacity(request_of("TPU-v4", 8), nodes[1:]) == 0
    assert capacity(request_of("TPU-v4", 8, topology="1x2x4"), nodes) == 0
    assert inventory(request_of("TPU-v4", 8), nodes) == "3 CPU, 2 TPU slices v4-16"


def test_gpus_of_another_kind_do_not_count():
    nodes = [node(0, GPU=8, CPU=4, **{"accelerator_type:A100": 1})]
    assert capacity(request_of("A100", 2), nodes) == 8
    assert capacity(request_of("A100", 16), nodes) == 0
    assert capacity(request_of("H100", 2), nodes) == 0
    assert inventory(request_of("H100", 2), nodes) == "4 CPU, 8 A100"


def test_a_mailbox_keeps_an_attempts_events_until_its_end_is_in_the_store():
    box = Mailbox()
    for token, event in (("a", STARTED), ("b", STARTED), ("a", DIED), ("b", STARTED)):
        box.put(Message(event=event, token=token))
    assert [message.number for message in box.take(0, after=1)] == [2, 3]
    assert len(box.take(0)) == 4
    assert [message.token for message in box.take(0, settled=1)] == ["a", "b", "a", "b"]
    assert [message.token for message in box.take(0, settled=2)] == ["b", "b"]
    assert box.take(0.01, after=3, settled=3) == []


def test_a_sign_of_life_is_told_once_and_not_kept():
    box = Mailbox()
    box.put(Message(event=STARTED, token="a"))
    for _ in range(1000):
        box.put(Message(event=Alive(), token="a"))
        box.put(Message(event=Alive(), token="b"))
    told = box.take(0)
    assert [(message.token, message.event, message.number) for message in told] == [
        ("a", STARTED, 0),
        ("a", Alive(), 0),
        ("b", Alive(), 0),
    ]
    assert box.take(0.01, after=0) == []
    box.put(Message(event=Alive(), token="a"))
    box.put(Message(event=DIED, token="a"))
    assert [(message.event, message.number) for message in box.take(0, after=0)] == [(DIED, 1)]


def test_what_the_other_hosts_of_a_group_said_goes_when_they_have_left():
    box = Mailbox()
    box.put(Message(event=STARTED, token="a"))
    box.put(Message(event=Left(step=9, outcome="finished"), token="a"))
    assert len(box.take(0)) == 2
    assert (box.take(0.01, after=1, settled=1), list(box.tokens())) == ([], [])


def test_what_is_left_over_on_each_node_is_no_room():
    nodes = [node(number, CPU=3) for number in range(2)]
    assert capacity(request_of("cpu", 2), nodes) == 4
    assert capacity(request_of("cpu", 1), nodes) == 6
    assert capacity(request_of("cpu", 3), nodes) == 6
    assert capacity(request_of("cpu", 4), nodes) == 0
    assert capacity(request_of("cpu", 4, wanted_hosts=2), nodes) == 4
    assert capacity(request_of("A100", 3), [node(0, GPU=8, CPU=4, **{"accelerator_type:A100": 1})]) == 6


def test_a_card_is_asked_for_as_ray_calls_it():
    """Ray's own names: `ray.util.accelerators`, and what its manager makes of a driver's name."""
    from ray._private.accelerators.amd_gpu import amd_product_dict
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager as Nvidia
    from ray.util import accelerators as of_ray

    assert list(request_of("MI300X", 2).need.resources) == [f"accelerator_type:{of_ray.AMD_INSTINCT_MI300x}"]
    assert {accelerator(name).on_ray for name in ("MI250X", "MI300X", "MI325X", "MI355X")} <= set(amd_product_dict.values())
    for name, driver in DRIVERS.items():
        if driver.startswith(("NVIDIA", "Tesla")):
            assert accelerator(name).on_ray == Nvidia._gpu_name_to_accelerator_type(driver), driver
    nodes = [node(0, GPU=8, CPU=4, **{f"accelerator_type:{of_ray.AMD_INSTINCT_MI300x}": 1})]
    assert (capacity(request_of("MI300X", 8), nodes), capacity(request_of("B200", 1), nodes)) == (8, 0)


def test_any_gpu_is_asked_for_without_its_name():
    need = request_of("gpu", 2).need
    assert (need.num_gpus, need.resources, request_of("gpu", 2).environment) == (2, {}, {})
    nodes = [node(0, GPU=8, CPU=4, **{"accelerator_type:GeForce-RTX-5090": 1}), node(1, GPU=2, CPU=4), node(2, CPU=4)]
    assert capacity(request_of("gpu", 2), nodes) == 10


def test_tpus_are_as_ray_counts_them():
    from ray._private.accelerators.tpu import VALID_TPU_TOPOLOGY, get_tpu_cores_per_chip

    for kind in ACCELERATORS.values():
        if kind.is_tpu:
            assert kind.cores_per_chip == get_tpu_cores_per_chip(kind.generation), kind.name
            smallest = {"1x1", "2x2", "2x4"} if kind.name in ("TPU-v2", "TPU-v3") else set()  # Ray lists their larger slices alone
            assert set(kind.topologies) <= VALID_TPU_TOPOLOGY[kind.generation] | smallest, kind.name
