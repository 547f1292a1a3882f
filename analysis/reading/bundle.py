"""Bundles, which `scaling export --bundle` writes: a zip with runs, the files that asked for them, and what they say.

| member | what it holds |
|---|---|
| `bundle.json` | versions, the question, the sentence, how the table was read, and the hash of the runs |
| `runs.jsonl` | a run a line, every number to its last bit |
| `law.json` | the law, as `scaling fit --json` has it |
| `experiments/NAME.yaml` | the text of each experiments file |
| `about.txt` | the sentence, and how to get it again |

Nothing is ever unpacked to the disk: the first two are read where they are.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading.source import attach_source
from scaling.errors import DataError

__all__ = ["ABOUT", "FORMAT", "RUNS", "VERSION", "carried", "read_bundle"]

ABOUT, RUNS = "bundle.json", "runs.jsonl"
FORMAT, VERSION = "scaling-bundle", 1

_MOST_BYTES = 2**31
"""Most bytes of a member: 100,000 runs are 0.1 GB. A zip of a few kilobytes may claim to hold terabytes."""

_CARRIED = ("cell", "clusters", "config", "converted", "mapping", "measured", "renamed", "words")
"""What a bundle says of its table that the analysis goes by, of `analysis.reading.source`."""


def read_bundle(path: Path, _mapped: Collection[str]) -> pd.DataFrame:
    """Read the runs of a bundle, in our names and units; `bundle` in their source is what the bundle says of itself.

    Raises `DataError` for a zip that is no bundle, for one of a later version, and for one that was changed since it was written.
    """
    from analysis.reading.formats import as_table

    try:
        with zipfile.ZipFile(path) as opened:
            about = json.loads(_member(opened, ABOUT, path))
            lines = _member(opened, RUNS, path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a zip: {error}", hint="is it whole? copy it again") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DataError(f"{path}: {ABOUT} in it is not that of a bundle", hint="`scaling export --bundle OUT.zip` writes one")
    if about.get("version") != VERSION:
        raise DataError(
            f"{path}: a bundle of version {str(about.get('version'))[:20]}, this version of scaling reads {VERSION}",
            hint="update scaling; runs.jsonl in it is a table that any version reads",
        )
    if hashlib.sha256(lines).hexdigest() != about.get("sha256"):
        raise DataError(
            f"{path}: {RUNS} in it is not what {ABOUT} says: it was changed", hint="export it again, or read runs.jsonl by itself"
        )
    rows = [json.loads(line) for line in lines.decode().splitlines() if line]
    return attach_source(as_table(rows, path), {"bundle": about, "notes": [_note(about, path)]})


def carried(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a bundle's `source` the analysis goes by."""
    source = about.get("source")
    return {name: source[name] for name in _CARRIED if name in source} if isinstance(source, dict) else {}


def _member(opened: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        size = opened.getinfo(name).file_size
    except KeyError:
        raise DataError(
            f"{path}: no bundle: there is no {name} in it", hint="`scaling export --bundle OUT.zip` writes one"
        ) from None
    if size > _MOST_BYTES:
        raise DataError(f"{path}: {name} in it is {size / 2**30:.1f} GiB, more than any bundle", hint="is it one of yours?")
    with opened.open(name) as member:
        return member.read(_MOST_BYTES + 1)


def _note(about: Mapping[str, Any], path: Path) -> str:
    versions = about.get("versions") or {}
    return f"{path.name} was exported by scaling {str(versions.get('scaling'))[:40]} on {str(about.get('created'))[:10]}"
