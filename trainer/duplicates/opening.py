"""What a text stands for when it names images: a data set of an experiments file, a folder in one of its formats, or any folder of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from scaling.errors import DataError, DataNotFound, UsageError
from trainer import data
from trainer.data import fingerprint
from trainer.data.imagefolder import ImageFiles, images_below, split_folders
from trainer.data.names import NameTable
from trainer.duplicates.splits import Split, loose_split, splits_of
from trainer.typing import Options

__all__ = ["opened"]

_HOW = (
    "name a folder, a data set as `fashion_mnist`, one of your own as package.module:factory, or write it as in an experiments file: "
    '"{name: parquet, path: photos, train_px: 224}"'
)
_BY_SUFFIX = {".parquet": "parquet", ".tar": "webdataset"}
_ANY_PX = 64
"""Size of the network's images, which has no part in what is compared."""


def opened(text: str) -> dict[str, Split]:
    """Open what `text` names: its splits by name, `train` and `validation`, or `images` for a folder of images in no order.

    Raises:
        UsageError: the text names nothing that is known.
        DataNotFound, DataError: there is no such folder or it holds no images.
    """
    said = text.strip()
    if said.startswith("{"):
        return _declared(said)
    folder = Path(said).expanduser()
    if folder.is_dir():
        return _of_folder(folder)
    if said in data.names():
        return splits_of(data.load(said, {}), {})
    if ":" in said and "/" not in said:
        options: Options = {"source": said}
        return splits_of(data.load("source", options), options)
    raise DataNotFound(f"there is no folder or data set {said!r}", hint=_HOW)


def _declared(text: str) -> dict[str, Split]:
    """Open a data set that is written as in an experiments file."""
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{text!r} is not YAML: {str(error).splitlines()[0]}", hint=_HOW) from None
    options = {key: value for key, value in said.items() if key not in ("name", "exclude")} if isinstance(said, Mapping) else {}
    name = said.get("name", "source" if "source" in options else None) if isinstance(said, Mapping) else None
    if not isinstance(name, str):
        raise UsageError(f"{text!r} names no data set", hint=_HOW)
    if name != "source" and (foreign := [key for key in options if key not in data.options_of(name)]):
        known = ", ".join(data.options_of(name))
        raise UsageError(f"unknown key {foreign[0]!r} of data set {name}", hint=f"it takes {known}")
    return splits_of(data.load(name, options), options)


def _of_folder(folder: Path) -> dict[str, Split]:
    """Open a folder by what lies in it."""
    if any(folder.glob("train-images*")):
        return _loaded("mnist", {"path": str(folder)})
    if split_folders(folder) is not None:
        return _loaded("imagefolder", {"path": str(folder), "train_px": _ANY_PX})
    for path in sorted(folder.rglob("*")):
        if "train" not in path.relative_to(folder).as_posix().lower():  # a list of duplicates, say, is no data set
            continue
        name = "array_record" if "array_record" in path.name else _BY_SUFFIX.get(path.suffix)
        if name and path.is_file():
            return _loaded(name, {"path": str(folder), "train_px": _ANY_PX})
    return {"images": _loose(folder)}


def _loaded(name: str, options: Options) -> dict[str, Split]:
    try:
        return splits_of(data.load(name, options), options)
    except UsageError as error:
        stated = ", ".join(f"{key}: {value}" for key, value in options.items() if key != "train_px")
        raise UsageError(str(error), hint=f'say more: "{{name: {name}, {stated}, train_px: 224, …}}"') from error


def _loose(folder: Path) -> Split:
    """List all images below a folder. The topmost folder is an image's class, where all lie in one."""
    found = sorted(images_below(folder))
    if not found:
        raise DataError(f"{folder} holds no images", hint="JPEG, PNG and WebP, in folders or not; " + _HOW)
    paths = [path for path, _ in found]
    tops = [path.split("/")[0] if "/" in path else "" for path in paths]
    _, numbers = np.unique(tops, return_inverse=True)
    labels = numbers.astype(np.int32) if all(tops) else np.full(len(paths), -1, np.int32)
    files = ImageFiles(str(folder), NameTable.of(paths), np.array([size for _, size in found], np.int64), labels)
    parts = {
        "images": len(files),
        "names": fingerprint.digest(files.names.text, files.names.starts),
        "sizes": fingerprint.digest(files.sizes),
        f"content of {fingerprint.SAMPLED}": fingerprint.sampled(len(files), files.read),
    }
    return loose_split(folder.resolve().name, fingerprint.whole(parts)[0], files)
