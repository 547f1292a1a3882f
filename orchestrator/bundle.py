"""`export --bundle`: all that a reader of an answer needs to get the same sentence elsewhere, in one file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.columns import SCHEMA_VERSION
from scaling.errors import ScalingError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from analysis import Regret

__all__ = ["Bundle", "StudyFile", "study_files", "write_bundle"]

_PACKAGES = ("scaling", "numpy", "scipy", "pandas", "jax", "flax", "optax", "ray", "sqlalchemy")


@dataclass(frozen=True)
class StudyFile:
    """Holds the text of an experiments file as it was accepted; of an import, how the file was read."""

    experiment: str
    file: str
    revision: int
    text: str


@dataclass(frozen=True)
class Bundle:
    """Says what was written: how many runs and files, the sentence, or why there is none."""

    path: Path
    runs: int
    files: int
    sentence: str | None
    no_law: str


def study_files(db: str, experiment: str | None = None) -> list[StudyFile]:
    """Read the latest text of each experiment of a store, or of one. Raises `StoreError`, `UnknownName`."""
    from orchestrator.store import open_readonly, queries
    from orchestrator.store.experiments import experiment_id, experiment_names

    with open_readonly(db) as store, store.read() as session:
        if experiment is not None:
            experiment_id(session, experiment)
        names = experiment_names(session) if experiment is None else [experiment]
        found = [(name, queries.revision(session, name)) for name in names]
    return [StudyFile(name, each["file"], each["number"], each["text"]) for name, each in found if each is not None]


def write_bundle(
    runs: pd.DataFrame, path: Path, *, metric: str = "val_loss", x: str = "core_hours", files: Sequence[StudyFile] = ()
) -> Bundle:
    """Write a bundle of a table of runs. `frontier --data` and `import` of it say the same, to the character.

    Where the runs allow no law, the bundle says why. A file that is there is replaced once the new one is whole.

    Raises:
        UsageError: the name does not end with .zip, or the file cannot be written.
        What `analysis.answer` raises for a metric or compute that the runs do not have.
    """
    from analysis import answer, source_of
    from analysis.headline import headline
    from analysis.payloads import payload
    from analysis.reading.bundle import ABOUT, FORMAT, RUNS, VERSION
    from scaling.errors import DataError, TooFewPoints

    if path.suffix.lower() != ".zip":
        raise UsageError(f"{path}: a bundle is a zip", hint=f"--bundle {path.with_suffix('.zip').name or 'study.zip'}")
    said, no_law = None, ""
    try:
        said = answer(runs, metric=metric, x=x.split(",") if "," in x else x)
    except (TooFewPoints, DataError) as error:
        no_law = f"{error}; {error.hint}" if error.hint else str(error)
    sentence = None if said is None else headline(said, _regret(runs, metric, x))
    lines = "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in _rows(runs)).encode()
    source = source_of(runs)
    about: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "question": {"metric": metric, "x": x},
        "sentence": sentence,
        "answer": said.to_dict() if said is not None else None,
        "no_law": no_law,
        "runs": len(runs),
        "sha256": hashlib.sha256(lines).hexdigest(),
        "experiments": [{"name": each.experiment, "file": each.file, "revision": each.revision} for each in files],
        "source": _plain({name: value for name, value in source.items() if name not in ("command", "file", "sha256", "bundle")}),
    }
    members = {ABOUT: _json(about), RUNS: lines, "about.txt": _readme(about, path).encode()}
    if said is not None:
        members["law.json"] = _json(payload(said.law))
    members |= {f"experiments/{name}": each.text.encode() for name, each in _named(files)}
    _write(path, members)
    return Bundle(path, len(runs), len(files), sentence, no_law)


def _rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in runs.to_dict("records")]


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: None for NaN, the largest number for infinity, as the reader takes it."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else max(-_LARGEST, min(_LARGEST, value))
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value.isoformat() if hasattr(value, "isoformat") and value == value else None if value != value else str(value)


_LARGEST = 1.7976931348623157e308


def _named(files: Sequence[StudyFile]) -> list[tuple[str, StudyFile]]:
    """Give each file a name that every system can hold."""
    found = []
    for number, each in enumerate(files, start=1):
        kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in each.experiment).strip(".-")[:80]
        ending = "yaml" if each.file == "" or each.file.lower().endswith((".yaml", ".yml")) else "txt"  # how an import was read
        found.append((f"{number}-{kept or 'experiment'}.{ending}", each))
    return found


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.system()}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _regret(runs: pd.DataFrame, metric: str, x: str) -> Regret | None:
    """Bound what the best cell costs; None where the runs make no frontier, as of a surface."""
    from analysis import regret

    with suppress(ScalingError):
        return regret(runs, metric=metric, x=x)
    return None


def _readme(about: Mapping[str, Any], path: Path) -> str:
    asked = about["question"]
    words = ["scaling", "fit" if "," in asked["x"] else "frontier", "--data", path.name]
    words += ["--metric", asked["metric"]] if asked["metric"] != "val_loss" else []
    words += ["--x", asked["x"]] if asked["x"] != "core_hours" else []
    return "\n".join(
        [
            about["sentence"] or f"No law: {about['no_law']}",
            "",
            f"{about['runs']} runs, exported on {about['created'][:10]} by scaling {about['versions'].get('scaling', '')}.",
            "",
            "The same again, in the folder of this file:",
            f"  {' '.join(words)}",
            f"  scaling import {path.name} --yes      # then every page and command shows them",
            "",
            "runs.jsonl has every run, law.json the law with its intervals, experiments/ the files that asked for the runs.",
            "",
        ]
    )


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=".bundle-", delete=False) as file:
            try:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
                    for name, content in members.items():
                        made.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
                file.flush()
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)
                raise
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror or error}", hint="name a file in a folder that exists"
        ) from error
