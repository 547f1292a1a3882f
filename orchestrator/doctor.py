"""Checks of the machine, the installation and the store, for `scaling doctor`. Each names its cure. Nothing is changed, and Ray is not started.

To add a check: a function that yields `Check`s, and its line in `examine`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from scaling.errors import ScalingError, nearest
from scaling.extras import EXTRA_OF
from scaling.packages import check_packages

__all__ = ["Check", "Verdict", "examine"]

_LEAST_BYTES, _LEAST_SHARE = 2 * 2**30, 0.05
"""Free bytes below which a disk is a fault, and the share below which Ray takes it for full (`local_fs_capacity_threshold` is 0.95)."""
_LEAST_PYTHON = (3, 11)
_DEVICES_SECONDS = 120.0
_CONNECT_SECONDS = 3.0
_OUR_PACKAGES = ("scaling", "orchestrator", "trainer", "analysis", "api")
_VARIABLES = (
    "SCALING_DB",
    "SCALING_HOME",
    "SCALING_SERVER",
    "SCALING_TOKEN_FILE",
    "SCALING_ACCELERATORS",
    "SCALING_RESOURCES",
    "SCALING_DEBUG",
)
_ASK_JAX = "import json, jax; print(json.dumps([jax.__version__, jax.default_backend(), [str(d.device_kind) for d in jax.local_devices()]]))"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*(?:>=\s*([0-9][0-9A-Za-z.]*))?")
_IMPORTED_AS = {"lazy-loader": "lazy_loader", "pyyaml": "yaml", "annotated-types": "annotated_types"}


class Verdict(StrEnum):
    """Names what a check found. A warning leaves the exit code alone."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Check:
    """Says what was found of one thing, in a line, and what to do about it; no cure where nothing is wrong."""

    name: str
    verdict: Verdict
    found: str
    cure: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the check as JSON holds it."""
        return {"name": self.name, "verdict": str(self.verdict), "found": self.found, "cure": self.cure}


def examine(db: str, home: str, *, folder: Path | None = None, devices: bool = True) -> list[Check]:
    """Check everything, in the order of what is needed first.

    db, home: as commands take them. folder: where commands are called, the working directory. devices: whether to start a process that
    asks JAX for its devices, which takes some seconds.

    A check that fails in a way that nobody thought of is a fault of its own, and the others go on.
    """
    here = folder or Path.cwd()
    checks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("names", lambda: _names(here)),
        ("variables", _variables),
        ("devices", _devices if devices else lambda: ()),
        ("Ray", _ray),
        ("store", lambda: _store(db)),
        ("home", lambda: _home(home)),
        ("disk", lambda: _disk(home, db)),
        ("network", _network),
    ]
    found: list[Check] = []
    for name, check in checks:
        try:
            found += check()
        except Exception as error:  # noqa: BLE001 - whatever is broken, the other checks are wanted all the more
            found.append(
                Check(name, Verdict.FAULT, f"could not be checked: {type(error).__name__}: {error}", "please report this line")
            )
    return found


def _python() -> Iterator[Check]:
    version, where = platform.python_version(), sys.prefix
    if sys.version_info[:2] < _LEAST_PYTHON:
        least = ".".join(map(str, _LEAST_PYTHON))
        yield Check(
            "Python",
            Verdict.FAULT,
            f"{version} in {where}; scaling needs {least}",
            f"python{least} -m venv .venv, and install scaling there",
        )
        return
    kind = f"{platform.system()} {platform.machine()}, {_cores()} cores"
    if sys.prefix == sys.base_prefix and not os.environ.get("CONDA_PREFIX"):
        yield Check(
            "Python",
            Verdict.WARNING,
            f"{version} of the system ({where}), {kind}",
            "an environment of its own: python3 -m venv .venv",
        )
        return
    yield Check("Python", Verdict.OK, f"{version} in {where}, {kind}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _packages() -> Iterator[Check]:
    try:
        required = metadata.requires("scaling") or []
    except metadata.PackageNotFoundError:
        yield Check(
            "packages",
            Verdict.FAULT,
            "scaling is not installed in this Python",
            'pip install scaling, or in its source tree: pip install -e "."',
        )
        return
    wrong = []
    count = 0
    for line in required:
        if ";" in line and "extra" in line.partition(";")[2]:
            continue
        if (read := _REQUIREMENT.match(line)) is None:
            continue
        name, least = read[1], read[2]
        count += 1
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append((f"{name} is not installed", f"pip install '{name}>={least}'" if least else f"pip install {name}"))
            continue
        if least and _numbers(version) < _numbers(least):
            wrong.append((f"{name} is {version}, scaling needs {least} or newer", f"pip install -U '{name}>={least}'"))
    for fault, cure in wrong:
        yield Check("packages", Verdict.FAULT, fault, cure)
    if not wrong:
        yield Check("packages", Verdict.OK, f"scaling {metadata.version('scaling')}, {count} required packages")
    missing = sorted({extra for module, extra in EXTRA_OF.items() if importlib.util.find_spec(module) is None})
    if missing:
        yield Check(
            "packages",
            Verdict.OK,
            f"without the extras {', '.join(missing)}",
            f'where you need them: pip install "scaling[{",".join(missing)}]"',
        )
    for package in _OUR_PACKAGES:
        try:
            check_packages(package)
        except ScalingError as error:
            yield Check("packages", Verdict.FAULT, str(error), error.hint)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _needed_modules() -> set[str]:
    try:
        lines = metadata.requires("scaling") or []
    except metadata.PackageNotFoundError:
        lines = []
    names = {read[1].lower() for line in lines if (read := _REQUIREMENT.match(line))}
    return {_IMPORTED_AS.get(name, name.replace("-", "_")) for name in names} | set(_OUR_PACKAGES) | set(EXTRA_OF)


def _names(here: Path) -> Iterator[Check]:
    """Find files that Python would import in place of a package: those of the working directory, which `python script.py` puts first."""
    needed, ours = _needed_modules(), Path(__file__).parents[1]
    faults = 0
    for name in sorted(needed | set(sys.stdlib_module_names)):
        places = [place for place in (here / f"{name}.py", here / name / "__init__.py") if place.is_file()]
        if not places or here.resolve() == ours:  # the source tree itself
            continue
        faults += 1
        what = "the package" if name in needed else "Python's own"
        verdict = Verdict.FAULT if name in needed else Verdict.WARNING
        shown = places[0] if places[0].suffix == ".py" and places[0].parent == here else places[0].parent
        yield Check(
            "names", verdict, f"{shown} hides {what} {name} from programs that run here", "rename it, or work in another folder"
        )
    if not faults:
        yield Check("names", Verdict.OK, f"no file in {here} hides a package")


def _variables() -> Iterator[Check]:
    given = {name: value for name, value in os.environ.items() if name.startswith("SCALING_")}
    for name in sorted(given):
        if name not in _VARIABLES and (guess := nearest(name, _VARIABLES)):
            yield Check("variables", Verdict.WARNING, f"{name} is set, and nothing reads it{guess}", f"unset {name}")
    shown = [name for name in ("SCALING_DB", "SCALING_HOME", "SCALING_SERVER") if name in given]
    yield Check(
        "variables", Verdict.OK, f"set: {', '.join(shown)}" if shown else "none set: scaling.db and scaling-runs of this folder"
    )


def _devices() -> Iterator[Check]:
    """Ask JAX in a process of its own: whoever asks holds the devices, and a broken driver takes its process along."""
    try:
        asked = subprocess.run(
            [sys.executable, "-P", "-c", _ASK_JAX], capture_output=True, text=True, timeout=_DEVICES_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        yield Check(
            "devices",
            Verdict.FAULT,
            f"JAX did not name its devices in {_DEVICES_SECONDS:.0f} s",
            "does another process hold them? On a TPU: lsof /dev/accel0",
        )
        return
    try:
        version, backend, kinds = json.loads(asked.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = next((line for line in reversed(asked.stderr.splitlines()) if line.strip()), f"exit code {asked.returncode}")
        platforms = os.environ.get("JAX_PLATFORMS")
        install = 'pip install -U jax; for a GPU: pip install -U "scaling[cuda]"'
        yield Check(
            "devices",
            Verdict.FAULT,
            f"JAX does not start{f' with JAX_PLATFORMS={platforms}' if platforms else ''}: {last.strip()[:200]}",
            f"unset JAX_PLATFORMS, or {install}" if platforms else install,
        )
        return
    names = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))
    said = f"JAX {version} on {backend}: {names}"
    there = [what for what, place in (("an NVIDIA GPU", "/dev/nvidia0"), ("a TPU", "/dev/accel0")) if Path(place).exists()]
    if backend == "cpu" and there:
        extra = "cuda" if "GPU" in there[0] else "tpu"
        yield Check(
            "devices",
            Verdict.FAULT,
            f"{said}, though this machine has {there[0]}",
            f'pip install -U "scaling[{extra}]", and look at JAX_PLATFORMS',
        )
        return
    yield Check("devices", Verdict.OK, said)


def _ray() -> Iterator[Check]:
    if importlib.util.find_spec("ray") is None:
        return  # said by `packages`
    version = metadata.version("ray")
    address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
        except OSError as error:
            yield Check(
                "Ray",
                Verdict.FAULT,
                f"{version}; nobody answers at RAY_ADDRESS {address}: {error}",
                "ray start --head there, or unset RAY_ADDRESS",
            )
            return
        yield Check("Ray", Verdict.OK, f"{version}, a cluster at {address}")
    elif address not in ("", "auto", "local") and "://" not in address:
        yield Check(
            "Ray",
            Verdict.FAULT,
            f"{version}; RAY_ADDRESS {address} is no address",
            "HOST:PORT of the cluster's head, as 10.0.0.5:6379, or unset RAY_ADDRESS",
        )
    else:
        yield Check("Ray", Verdict.OK, f"{version}; submit starts it on this machine")
    temporary = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    if (share := _free_share(temporary)) is not None and share < _LEAST_SHARE:
        yield Check(
            "Ray",
            Verdict.FAULT,
            f"{temporary}, where Ray keeps its session, is {1 - share:.0%} full: Ray stops at 95 %",
            "make room there, or set RAY_TMPDIR",
        )
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).free < 2**28:
        yield Check(
            "Ray", Verdict.WARNING, f"/dev/shm has {_size(shutil.disk_usage(shared).free)} free: Ray's objects go to the disk",
            "in a container: docker run --shm-size=2g",
        )  # fmt: skip


def _free_share(place: Path) -> float | None:
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return usage.free / usage.total if usage.total else None


def _store(db: str) -> Iterator[Check]:
    from orchestrator.store import Store, queries, schema
    from orchestrator.store.engine import sqlite_path, store_url
    from orchestrator.store.integrity import faults_in
    from orchestrator.store.unreadable import cure_of, repair

    try:
        url = store_url(db)
    except ScalingError as error:
        yield Check("store", Verdict.FAULT, str(error), error.hint)
        return
    path = sqlite_path(url)
    if path is not None and not path.exists():
        if not path.parent.is_dir():
            yield Check(
                "store",
                Verdict.FAULT,
                f"there is no folder {path.parent} for {path.name}",
                "make it, or name another with --db or SCALING_DB",
            )
        else:
            yield Check("store", Verdict.OK, f"{path} is not there yet: the first submit or import makes it")
        return
    try:
        if path is not None and (faults := faults_in(path)):
            yield Check("store", Verdict.FAULT, f"{path} is damaged: {'; '.join(faults)}", repair(path))
            return
        with Store(db, writable=False) as store:
            found, head = schema.found_revision(store._reader), schema.head_revision()
        if found is None:
            yield Check("store", Verdict.OK, f"{path or 'the database'} is empty: the first submit or import fills it")
            return
        if found != head:
            yield Check(
                "store",
                Verdict.WARNING,
                f"schema {found}, this version has {head}",
                "the first command that writes upgrades it, such as `scaling submit`"
                + (", after making a copy; until then an upgraded copy is read" if path is not None else ""),
            )
            return
        with Store.open_readonly(db) as store, store.read() as session:
            runs, name = queries.count_runs(session), store.name
            holder, left = queries.scheduler(session), queries.interrupted(session)
    except sqlite3.DatabaseError as error:
        assert path is not None  # it is SQLite's
        yield Check("store", Verdict.FAULT, f"{path} cannot be read: {error}", cure_of(path, error))
        return
    except ScalingError as error:
        yield Check("store", Verdict.FAULT, str(error), error.hint)
        return
    yield Check("store", Verdict.OK, f"{name}: {runs:,} run{'' if runs == 1 else 's'}, schema {head}, whole")
    if left:
        yield Check(
            "store",
            Verdict.WARNING,
            f"its scheduler is gone, {left} runs were interrupted",
            "`scaling submit` goes on from their last checkpoints",
        )
    elif holder:
        yield Check("store", Verdict.OK, f"a scheduler is at work: {holder['holder']} (pid {holder['pid']})")


def _home(home: str) -> Iterator[Check]:
    from orchestrator.home import home_folder

    try:
        folder = home_folder(home)
    except ScalingError as error:
        yield Check("home", Verdict.FAULT, str(error), error.hint)
        return
    place = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    if not place.is_dir():
        yield Check("home", Verdict.FAULT, f"{place} is no folder", "name another with --home or SCALING_HOME")
        return
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"scaling")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        yield Check(
            "home", Verdict.FAULT, f"{place} cannot be written: {error.strerror}", "name another with --home or SCALING_HOME"
        )
        return
    yield Check("home", Verdict.OK, f"{folder} can be written" if place == folder else f"{folder} is made when runs begin")


def _disk(home: str, db: str) -> Iterator[Check]:
    from orchestrator.store.engine import sqlite_path, store_url

    wanted = {}
    try:
        from orchestrator.home import home_folder

        wanted["runs"] = home_folder(home)
        if (path := sqlite_path(store_url(db))) is not None:
            wanted["the store"] = path
    except ScalingError:
        return  # said by `home` and `store`
    seen: set[int] = set()
    for what, wish in wanted.items():
        place = next((each for each in (wish, *wish.absolute().parents) if each.exists()), Path("/"))
        if (device := place.stat().st_dev) in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(place)
        said = f"{_size(usage.free)} of {_size(usage.total)} free for {what}"
        if usage.free < _LEAST_BYTES:
            yield Check(
                "disk", Verdict.FAULT, said, "make room: `scaling gc` frees checkpoints; or name another with --home and --db"
            )
        else:
            yield Check("disk", Verdict.OK, said)


def _size(number: float) -> str:
    return f"{number / 2**30:.1f} GiB"


def _network() -> Iterator[Check]:
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname(), timeout=_CONNECT_SECONDS):
                pass
    except OSError as error:
        yield Check(
            "network",
            Verdict.FAULT,
            f"no connection on 127.0.0.1: {error}",
            "Ray and serve need the loopback interface: ip link set lo up",
        )
        return
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 8000))
        except OSError:
            yield Check("network", Verdict.WARNING, "port 8000, where serve listens, is in use", "scaling serve --port 8001")
        else:
            yield Check("network", Verdict.OK, "loopback works, port 8000 is free for serve")
    try:
        socket.getaddrinfo(name := socket.gethostname(), None)
    except OSError:
        yield Check(
            "network", Verdict.WARNING, f"this machine's name {name} has no address", f"a line in /etc/hosts: 127.0.1.1 {name}"
        )
