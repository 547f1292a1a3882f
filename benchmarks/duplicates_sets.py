"""The images that `benchmarks/duplicates.py` plants copies of: pictures of Debian packages, and Fashion-MNIST.

Classes stand here and not in the command's own file, since worker processes import them by name.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.copies import COPIES
from trainer.data.dataset import Example
from trainer.data.images.picture import picture

__all__ = ["FASHION", "SEED", "Fashion", "Files", "Pixels", "Planted", "gather", "pictures"]

PACKAGES = {
    "0ad-data": "0.0.26-1",
    "gcompris-qt-data": "3.1-2",
    "gnome-backgrounds": "43.1-1",
    "mate-backgrounds": "1.26.0-1",
    "nexuiz-textures": "2.5.2-12",
    "openarena-081-textures": "0.8.5split-14",
    "openclipart-png": "1:0.18+dfsg-19",
    "plasma-workspace-wallpapers": "4:5.27.5-2",
    "supertuxkart-data": "1.4+dfsg-2",
    "sweethome3d-textures-editor": "1.8-1",
    "torcs-data": "1.3.7+dfsg-5",
    "tuxpaint-stamps-default": "2022.06.04-1",
    "ufoai-textures": "2.5-2",
}
"""Debian packages and the versions that the figures are of."""
FASHION = Path("/usr/share/datasets/fashion-mnist")
ENDINGS = (".jpg", ".jpeg", ".png", ".tga", ".webp", ".bmp")
LEAST_PX, MOST_PIXELS = 64, 4 * 2**20
NOT_PICTURES = ("_norm", "_gloss", "_glow", "_bump", "_pants", "_shirt", "_local", "_nm")
"""Parts of names of files that hold directions or gloss of a texture, and not its colours."""
GENERATED = ("openclipart/png/shapes/", "patterns/pattern-dots-square-grid")
"""Outlines and grids of dots made by a program, which differ by a parameter: star polygons of 43 or 44 points. They are counted on their own."""
SEED = 21


class Pixels(ABC):
    """Shows pictures as the examples of a data set."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pixels(self, index: int) -> np.ndarray:
        """Return [H, W, 1 or 3] uint8."""

    def __getitem__(self, index: int) -> Example:
        return {"image": self.pixels(index), "label": -1, "id": index}


@dataclass(frozen=True)
class Files(Pixels):
    """Shows image files."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def pixels(self, index: int) -> np.ndarray:
        return picture(self.paths[index].read_bytes(), 3).pixels()


@dataclass(frozen=True)
class Fashion(Pixels):
    """Shows images of an IDX file."""

    file: Path

    def __len__(self) -> int:
        return len(self._images)

    def pixels(self, index: int) -> np.ndarray:
        return self._images[index]

    @cached_property
    def _images(self) -> np.ndarray:
        return np.frombuffer(gzip.decompress(self.file.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28, 1)

    def __getstate__(self) -> dict[str, object]:
        return {"file": self.file}


@dataclass(frozen=True)
class Planted(Pixels):
    """Shows copies: of each of `originals` one of each kind."""

    of: Pixels
    originals: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.originals) * len(COPIES)

    def pixels(self, index: int) -> np.ndarray:
        image, kind = divmod(index, len(COPIES))
        rng = np.random.default_rng([SEED, self.originals[image], kind])
        return np.ascontiguousarray(list(COPIES.values())[kind](self.of.pixels(self.originals[image]), rng))


def gather(folder: Path) -> None:
    """Download the packages, and write their pictures below folder/pictures/PACKAGE. TGA and BMP become PNG."""
    for package, version in PACKAGES.items():
        target, unpacked = folder / "pictures" / package, folder / "unpacked" / package
        if target.exists():
            continue
        unpacked.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", f"{package}={version}"], cwd=folder, check=True)
        deb = next(folder.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg", "-x", deb, unpacked], check=True)
        written = sum(_written(content, target / name) for name, content in _files(unpacked))
        target.mkdir(parents=True, exist_ok=True)
        print(f"{package} {version}: {written} pictures", flush=True)


def pictures(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the pictures of the set, those of them that no threshold was chosen on, and the generated ones, each in order of their paths."""
    listed = [path for path in sorted((folder / "pictures").rglob("*")) if path.is_file() and _size(path) <= MOST_PIXELS]
    kept = [path for path in listed if not _is_generated(path) and not any(part in path.stem.lower() for part in NOT_PICTURES)]
    other = set(listed[::2])
    return kept, [path for path in kept if path in other], [path for path in listed if _is_generated(path)]


def _files(unpacked: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of image files, those in PK3 and ZIP archives too."""
    for path in sorted(unpacked.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix.lower() in (".pk3", ".zip", ".sh3t") and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.lower().endswith(ENDINGS):
                        yield f"{path.name}/{name}", archive.read(name)
        elif path.suffix.lower() in ENDINGS:
            yield str(path.relative_to(unpacked)), path.read_bytes()


def _written(content: bytes, target: Path) -> bool:
    try:
        image = Image.open(io.BytesIO(content))
        if min(image.size) < LEAST_PX or image.width * image.height > MOST_PIXELS:
            return False
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix.lower() in (".tga", ".bmp"):
        image.save(target.with_suffix(f"{target.suffix}.png"), compress_level=1)
    else:
        target.write_bytes(content)
    return True


def _is_generated(path: Path) -> bool:
    return any(part in str(path) for part in GENERATED)


def _size(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height
