"""`submit --detach`: hands the scheduler to the cluster, as a Ray job, and ends the command.

The job writes to the same store, so that must be reachable from the cluster's head: PostgreSQL, or a path that the head has too. This is
checked from there before anything is handed over.
"""

from __future__ import annotations

import json
import shlex
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.scheduling.policy import SchedulingPolicy
from orchestrator.store import Store, open_readonly
from orchestrator.store.engine import sqlite_path
from orchestrator.store.experiments import find_experiment
from scaling.errors import ClusterError, ScalingError, StoreError

__all__ = ["Detached", "detach", "marked_there"]

_ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Detached:
    """Names a scheduler on the cluster: Ray's id of its job, the dashboard that knows it, and the store that it writes to."""

    job: str
    dashboard: str
    store: str


def detach(store: Store, experiment: str, *, address: str, home: Path, policy: SchedulingPolicy) -> Detached:
    """Hand an accepted experiment over to a scheduler on the cluster.

    Raises:
        StoreError: the head of the cluster does not reach this store.
        ClusterError: nobody answers at the address, or its Ray takes no jobs.
    """
    from orchestrator.cluster import RayCluster

    path = sqlite_path(store.url)
    url = str(path.absolute()) if path else store.url.render_as_string(hide_password=False)
    with RayCluster(address) as cluster:
        dashboard = cluster.dashboard
        seen, fault = cluster.on_head(marked_there, url, experiment)
    if seen is None or seen != _mark_of(store, experiment):
        raise StoreError(
            f"the head of the cluster at {address} does not reach the store {store.name}: {fault}",
            hint="--detach wants a store that both reach: SCALING_DB=postgresql+psycopg://…",
        )
    command = ["python", "-P", "-m", "scaling.cli.detached", experiment, str(home.absolute()), json.dumps(policy.to_dict())]
    job = {
        "entrypoint": shlex.join(command),
        "runtime_env": {"env_vars": {"SCALING_DB": url}},
        "metadata": {"experiment": experiment},
    }
    return Detached(_submitted(dashboard, job), dashboard, store.name)


def _mark_of(store: Store, experiment: str) -> str | None:
    """Return the time at which an experiment was created: it tells an experiment of this store from one of that name in another."""
    with store.read() as session:
        found = find_experiment(session, experiment)
        return found.created_at.isoformat() if found else None


def marked_there(url: str, experiment: str) -> tuple[str | None, str]:
    """Return `_mark_of` as seen from a node of the cluster, and what is wrong if the store cannot be opened. Runs on that node."""
    try:
        with open_readonly(url) as store:
            return _mark_of(store, experiment), f"the store there has no experiment {experiment}"
    except ScalingError as error:
        return None, str(error)


def _submitted(dashboard: str, job: dict[str, Any]) -> str:
    """Submit the job by Ray's REST interface, and return its id. Unlike Ray's own client this needs nothing beyond Ray on this side."""
    from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled  # as `ray job submit` does

    headers = {"Content-Type": "application/json", **get_auth_headers_if_auth_enabled({})}
    try:
        request = urllib.request.Request(f"{dashboard}/api/jobs/", data=json.dumps(job).encode(), headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
            return json.load(answer)["submission_id"]
    except (OSError, ValueError, KeyError) as error:  # urllib's are OSErrors
        raise ClusterError(
            f"the cluster takes no Ray jobs at {dashboard or 'its head: it has no dashboard'} ({error})",
            hint="its head needs `pip install 'ray[default]'` and `ray start --head --include-dashboard=true`; or submit from a machine that stays",
        ) from error
