"""deploy/ without a cloud: Ray's own checks of its cluster file, the facts that the scheduler relies on, and what the Slurm script does.

Where the line is: nothing here was started on Google Cloud, Kubernetes or Slurm. The Slurm script runs with stand-ins for Slurm's commands.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from orchestrator.cluster import Hold
from scaling.accelerators import accelerator

DEPLOY = Path(__file__).parents[1] / "deploy"
SLICE = Hold(accelerator("TPU-v4"), 8, topology="2x2x2")


def test_ray_accepts_the_google_cluster_and_makes_of_it_what_a_slice_asks_for():
    from ray._private.accelerators.tpu import infer_tpu_pod_type_from_topology
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((DEPLOY / "gcp-tpu-v4.yaml").read_text())
    validate_config(prepare_config(config))
    node = config["available_node_types"]["slice"]
    slice_of = node["node_config"]["acceleratorConfig"]
    assert infer_tpu_pod_type_from_topology(slice_of["topology"], slice_of["type"]) == SLICE.pod_type
    assert node["resources"]["TPU"] == SLICE.chips_per_host
    assert node["min_workers"] == node["max_workers"] == config["max_workers"]
    assert config["available_node_types"]["head"]["resources"]["CPU"] == 0


@pytest.fixture(scope="module")
def kubernetes():
    return yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())["spec"]


def test_a_replica_of_the_tpu_group_is_a_slice(kubernetes):
    group = next(group for group in kubernetes["workerGroupSpecs"] if group["groupName"].startswith("tpu"))
    pod = group["template"]["spec"]
    assert group["numOfHosts"] == SLICE.hosts
    assert group["groupName"] == f"tpu-{SLICE.pod_type}"
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v4-podslice",
        "cloud.google.com/gke-tpu-topology": SLICE.topology,
    }
    resources = pod["containers"][0]["resources"]
    assert resources["limits"]["google.com/tpu"] == resources["requests"]["google.com/tpu"] == str(SLICE.chips_per_host)


def test_every_pod_has_the_time_to_drain_and_the_shared_folder(kubernetes):
    pods = [kubernetes["headGroupSpec"]["template"]["spec"]]
    pods += [group["template"]["spec"] for group in kubernetes["workerGroupSpecs"]]
    assert len(pods) == 4
    for pod in pods:
        assert pod["terminationGracePeriodSeconds"] > 30  # Ray's own drain
        [container] = pod["containers"]
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
        assert environment["SCALING_HOME"] in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert kubernetes["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


STAND_INS = {
    "scontrol": 'if [[ $1 == show ]]; then echo node1; echo node2; else echo "scontrol $*" >> "$LOG"; fi',
    "srun": 'if [[ "$*" == *hostname* ]]; then echo "10.0.0.1 fe80::1"; else echo "srun $*" | head -1 >> "$LOG"; exec sleep 60; fi',
    "ray": "exit 0",
    "scaling": 'echo "scaling $*" >> "$LOG"; trap "echo paused >> \\"$LOG\\"; exit 130" TERM; touch "$READY"; while :; do sleep 0.05; done',
}


def test_the_slurm_script_pauses_before_the_limit_and_queues_itself_again(tmp_path):
    import signal
    import time

    for name, body in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    log, ready = tmp_path / "log", tmp_path / "ready"
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOG": str(log),
        "READY": str(ready),
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
        "SCALING_DB": str(tmp_path / "s.db"),
    }
    command = ["bash", str(DEPLOY / "slurm.sh"), "experiments.yaml"]
    job = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)  # as `--signal=B:USR1@120` does
    _, err = job.communicate(timeout=60)
    said = log.read_text().splitlines()
    assert "scaling submit experiments.yaml --address 10.0.0.1:20077 --yes" in said, err
    assert said[-2:] == ["paused", "scontrol requeue 77"]
    assert job.returncode == 130


def test_the_slurm_script_asks_for_its_notice_early_enough():
    text = (DEPLOY / "slurm.sh").read_text()
    notice = int(re.search(r"^#SBATCH --signal=B:USR1@(\d+)$", text, re.MULTILINE)[1])
    assert notice > 60  # half a minute to checkpoint, and Slurm may send it up to a minute late
    assert "#SBATCH --requeue" in text
