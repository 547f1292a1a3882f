"""Shared by all tests: strict JAX, a quiet Ray, and small ready-made configs."""

from __future__ import annotations

import os

os.environ.setdefault("NPROC", "1")  # before JAX starts: fixes its threads, and with them its bits
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112 - its spelling; a worker that idles costs a second to start
os.environ.pop("SCALING_DB", None)
os.environ.pop("SCALING_HOME", None)

import atexit
import gc
import shutil
import tempfile
from functools import cache
from pathlib import Path

import typer.main
import typer.testing

from orchestrator.store import schema

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # what one test compiled, the others and the processes that they start load
    folder = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="scaling-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

# Made once for each program: all commands of `scaling` anew for each that a test runs would take 25 ms of it.
typer.main.get_command = typer.testing._get_command = cache(typer.main.get_command)

upgrade = schema._upgrade
"""The migrations themselves, for tests about them."""
_tables: list[str] = []
"""The statements that make in another empty file of SQLite what the migrations made in this process's first one."""


def _upgrade_once(connection):
    """Run the migrations, or what they came to for another file: they take 70 ms of it, and hundreds of tests begin with an empty store."""
    is_empty_file = connection.dialect.name == "sqlite" and schema._current(connection) is None
    if is_empty_file and _tables:
        for statement in _tables:
            connection.exec_driver_sql(statement)
        return
    upgrade(connection)
    if is_empty_file:
        _tables.extend(
            line for line in connection.connection.driver_connection.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")
        )


schema._upgrade = _upgrade_once

REFERENCE = Path(__file__).parent / "reference"

LONG = (
    "orchestrator/scheduling/test_end_to_end.py",
    "orchestrator/scheduling/test_program_runs.py",
    "trainer/test_processes.py",
    "orchestrator/cluster/test_clusters.py",
    "api/test_every_page_in_browser.py",
    "test_docs_tables.py",
    "trainer/test_models.py",
    "orchestrator/scheduling/test_outages.py",
    "trainer/test_nfnet_exact.py",
    "orchestrator/search/test_search_killed.py",
    "trainer/test_layout.py",
    "orchestrator/scheduling/test_vanishing.py",
    "analysis/test_compare_null.py",
    "orchestrator/scheduling/test_packs.py",
    "test_python.py",
    "trainer/test_mesh.py",
    "api/test_browser.py",
    "analysis/test_compare_crossing.py",
    "trainer/test_resnet.py",
    "orchestrator/scheduling/test_trunk_end_to_end.py",
    "trainer/test_own_families.py",
    "orchestrator/scheduling/test_data_faults.py",
    "api/test_json_api.py",
    "test_analysis_docs.py",
    "test_compose.py",
    "orchestrator/scheduling/test_early_stopped.py",
    "orchestrator/cluster/test_worker.py",
    "orchestrator/store/test_steering.py",
    "orchestrator/scheduling/test_faults.py",
    "api/test_pages.py",
    "orchestrator/scheduling/test_submitters.py",
    "orchestrator/planning/test_probe.py",
)
"""Files of more than 15 seconds. They begin first, so that no worker waits at the end while another is in one of them; those that wait for other
processes take turns with those that compute."""


def pytest_collection_modifyitems(items):
    folder = Path(__file__).parent
    place = {folder / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))  # the order of the others stays


def pytest_collection_finish():
    """Let the collector of garbage pass over what was imported, half a million objects, and come less often: it took a tenth of the pages' tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
