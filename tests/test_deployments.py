"""deploy/ without a cloud: Ray's own checks of its cluster file, the facts that the scheduler relies on, and what the Slurm script does.

Where the line is: nothing here was started on Google Cloud, Kubernetes or Slurm. The Slurm script runs with stand-ins for Slurm's commands.
"""

import os
import re
import signal
import sqlite3
import subprocess
import time
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from sqlalchemy import make_url

from orchestrator.cluster import DeviceRequest
from orchestrator.store import Store
from scaling.accelerators import accelerator

DEPLOY = Path(__file__).parents[1] / "deploy"
SLICE = DeviceRequest(accelerator("TPU-v4"), 8, topology="2x2x2")


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
    return next(part for part in kubernetes_parts() if part["kind"] == "RayCluster")["spec"]


def kubernetes_parts():
    return list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()))


def test_the_pods_find_the_database_of_their_file_and_the_image_can_speak_to_it(kubernetes):
    parts = {part["kind"]: part for part in kubernetes_parts()}
    [container] = kubernetes["headGroupSpec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    url = make_url(environment["SCALING_DB"]["value"])
    assert url.host == parts["Service"]["metadata"]["name"]
    assert parts["Service"]["spec"]["selector"] == parts["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    [server] = parts["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry for entry in server["env"]}
    assert (url.username, url.database) == (given["POSTGRES_USER"]["value"], given["POSTGRES_DB"]["value"])
    assert environment["PGPASSWORD"]["valueFrom"] == given["POSTGRES_PASSWORD"]["valueFrom"]
    assert environment["PGPASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == parts["Secret"]["metadata"]["name"]
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert any(package.startswith("psycopg") for package in project["optional-dependencies"]["postgres"])
    assert "postgres" in extras_of_the_container()


def test_google_hosts_get_a_python_that_the_project_runs_on():
    config = yaml.safe_load((DEPLOY / "gcp-tpu-v4.yaml").read_text())
    [venv] = [re.search(r"(\S+) -m venv", line) for line in config["setup_commands"] if "-m venv" in line]
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(venv[1].removeprefix("python"))
    assert any(f"{venv[1]}-venv" in line for line in config["setup_commands"])


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
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
        assert environment["SCALING_HOME"] in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert kubernetes["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


STAND_INS = {
    "scontrol": 'if [[ $1 == show ]]; then echo node1; echo node2; else echo "scontrol $*" >> "$LOG"; fi',
    "srun": 'if [[ "$*" == *hostname* ]]; then echo "10.0.0.1 fe80::1"; else echo "srun $*" | head -1 >> "$LOG"; echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" > token; exec sleep 60; fi',
    "ray": "exit 0",
    "scaling": 'echo "scaling $*" >> "$LOG"; trap "echo paused >> \\"$LOG\\"; exit 130" TERM; touch "$READY"; while :; do sleep 0.05; done',
}


def start_job(folder, **environment):
    """The Slurm script in `folder`, with what stands in for Slurm, up to where the scheduler is at work."""
    for name, body in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    log, ready = folder / "log", folder / "ready"
    ready.unlink(missing_ok=True)
    known = {name: value for name, value in os.environ.items() if name != "SCALING_DB"}
    environment = known | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "LOG": str(log),
        "READY": str(ready),
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
        **environment,
    }
    command = ["bash", str(DEPLOY / "slurm.sh"), "experiments.yaml"]
    job = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    until(ready.exists)
    return job


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_slurm_script_pauses_before_the_limit_and_queues_itself_again(tmp_path):
    job = start_job(tmp_path, SCALING_DB=str(tmp_path / "s.db"))
    job.send_signal(signal.SIGUSR1)  # as `--signal=B:USR1@120` does
    _, err = job.communicate(timeout=60)
    said = (tmp_path / "log").read_text().splitlines()
    assert "scaling submit experiments.yaml --address 10.0.0.1:20077 --yes" in said, err
    assert said[-2:] == ["paused", "scontrol requeue 77"]
    assert job.returncode == 130


def test_every_process_of_a_slurm_job_has_a_token_that_was_made_for_it(tmp_path):
    """Also with `sbatch --export=NONE`, and one that the user has set is kept."""
    tokens = []
    for given in ({}, {}, {"RAY_AUTH_TOKEN": "of-the-user"}):
        said = tmp_path / "token"
        said.unlink(missing_ok=True)
        job = start_job(tmp_path, SCALING_DB=str(tmp_path / "s.db"), **given)
        until(lambda said=said: said.exists() and said.read_text().endswith("\n"))
        job.send_signal(signal.SIGUSR1)
        _, err = job.communicate(timeout=60)
        mode, token = said.read_text().split()
        assert mode == "token", err
        tokens.append(token)
    assert any(line.startswith("srun --export=ALL ") for line in (tmp_path / "log").read_text().splitlines())
    made, other, kept = tokens
    assert re.fullmatch("[0-9a-f]{64}", made)
    assert made != other
    assert kept == "of-the-user"
    assert made not in (tmp_path / "log").read_text()


def test_a_slurm_jobs_database_is_its_users_alone(tmp_path):
    """Also before anything is in it, and never through a link that somebody has put in its place."""
    disk, aim = tmp_path / "disk", tmp_path / "aim"
    disk.mkdir()
    (disk / "scaling-77.db").symlink_to(aim)
    job = start_job(tmp_path, TMPDIR=str(disk), SCALING_COPY_SECONDS="0.2")
    found = disk / "scaling-77.db"
    assert (found.is_symlink(), aim.exists(), found.stat().st_mode & 0o777) == (False, False, 0o600)
    with Store.open(str(found)):  # an empty file becomes a store
        pass
    job.send_signal(signal.SIGUSR1)
    _, err = job.communicate(timeout=60)
    assert list(disk.iterdir()) == [], err
    assert (tmp_path / "scaling.db").stat().st_size > 0


def extras_of_the_container():
    [named] = re.findall(r'pip install "\.\[([a-z,-]+)\]"', (DEPLOY / "Dockerfile").read_text())
    return set(named.split(","))


def pinned():
    """{package: version} of the container build."""
    lines = [line for line in (DEPLOY / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*", line) for line in lines), "names and versions, no addresses"
    return dict(line.split("==") for line in lines)


def test_the_container_build_has_every_file_that_the_package_is_made_of():
    """What the wheel includes by force is a file that `pip install .` fails without."""
    copied = {path for line in re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M) for path in line.split()}
    wheel = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {*wheel["force-include"], *wheel["packages"], "README.md", "LICENSE", "pyproject.toml"}
    assert {path for path in wanted if not copied & {path, path.split("/")[0]}} == set()


def test_the_container_is_built_of_stated_versions_that_the_project_takes():
    dockerfile, versions = (DEPLOY / "Dockerfile").read_text(), pinned()
    assert "--constraint deploy/constraints.txt" in dockerfile
    assert "COPY deploy/constraints.txt" in dockerfile
    assert "FROM ${PYTHON_IMAGE}" in dockerfile
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    extras = extras_of_the_container()
    assert {"array-record", "images", "parquet", "postgres"} <= extras  # one image for every role and every kind of data
    of_extras = [line for extra in extras for line in project["optional-dependencies"][extra] if not line.startswith("scaling[")]
    for wanted in map(Requirement, project["dependencies"] + of_extras):
        assert wanted.specifier.contains(versions[wanted.name.lower()]), wanted


def test_kubernetes_asks_for_a_token_and_runs_images_by_digest(kubernetes):
    assert kubernetes["authOptions"] == {"mode": "token"}
    assert kubernetes["rayVersion"] == pinned()["ray"]
    pods = [kubernetes["headGroupSpec"], *kubernetes["workerGroupSpecs"]]
    images = {container["image"] for pod in pods for container in pod["template"]["spec"]["containers"]}
    [database] = next(part for part in kubernetes_parts() if part["kind"] == "StatefulSet")["spec"]["template"]["spec"][
        "containers"
    ]
    assert images == {"IMAGE@DIGEST"}
    assert database["image"].endswith("@DIGEST")


def test_only_pods_of_the_cluster_reach_the_database(kubernetes):
    parts = {part["kind"]: part for part in kubernetes_parts()}
    policy = parts["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == parts["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert policy["policyTypes"] == ["Ingress"]
    [rule] = policy["ingress"]
    assert {"podSelector": {"matchLabels": {"ray.io/cluster": parts["RayCluster"]["metadata"]["name"]}}} in rule["from"]
    assert all(set(source) == {"podSelector"} for source in rule["from"])
    assert [port["port"] for port in rule["ports"]] == [port["port"] for port in parts["Service"]["spec"]["ports"]]


def test_google_nodes_ask_for_the_token_that_they_are_given():
    config = yaml.safe_load((DEPLOY / "gcp-tpu-v4.yaml").read_text())
    [(there, here)] = config["file_mounts"].items()
    assert (there, here) == (f"/home/{config['auth']['ssh_user']}/.ray/auth_token", "~/.ray/auth_token")
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert [command for command in commands if "RAY_AUTH_MODE=token ray start " in command] == commands[1:]
    assert any("RAY_AUTH_MODE=token" in command and ".bashrc" in command for command in config["setup_commands"])


def test_a_slurm_job_takes_the_database_from_its_folder_and_brings_it_back(tmp_path):
    """Also onto a node that it was on before, and while it runs."""

    def content(file):
        with closing(sqlite3.connect(file)) as database:
            return [value for (value,) in database.execute("SELECT * FROM t")]

    disk, shared = tmp_path / "disk", tmp_path / "scaling.db"
    disk.mkdir()
    for file, value in ((disk / "scaling-77.db", "old"), (shared, "newer")):
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("CREATE TABLE t (v)")
            database.execute("INSERT INTO t VALUES (?)", (value,))
    job = start_job(tmp_path, TMPDIR=str(disk), SCALING_COPY_SECONDS="0.2")
    for value in ("heard", "at the end"):
        with closing(sqlite3.connect(disk / "scaling-77.db")) as database, database:
            database.execute("INSERT INTO t VALUES (?)", (value,))
        if value == "heard":
            until(lambda: content(shared) == ["newer", "heard"])
    job.send_signal(signal.SIGUSR1)
    _, err = job.communicate(timeout=60)
    assert content(shared) == ["newer", "heard", "at the end"], err
    assert list(disk.iterdir()) == []


def test_the_slurm_script_asks_for_its_notice_early_enough():
    text = (DEPLOY / "slurm.sh").read_text()
    notice = int(re.search(r"^#SBATCH --signal=B:USR1@(\d+)$", text, re.MULTILINE)[1])
    assert notice > 60  # half a minute to checkpoint, and Slurm may send it up to a minute late
    assert "#SBATCH --requeue" in text
