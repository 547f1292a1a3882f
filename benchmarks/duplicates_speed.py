"""What a search for duplicates costs: images a second to read and hash, and a million hashes looked up among 100,000.

    python benchmarks/duplicates_speed.py --pictures FOLDER [--csv benchmarks/duplicates_speed.csv] [--queries 1000000] [--images 300]
    python benchmarks/duplicates_speed.py reading|searching|real        # what the file says, for docs/duplicates.md

FOLDER holds real images, in folders or not: of its JPEGs with a shorter side of 256 … 512 px, `--images` are used. Small images are those of
Fashion-MNIST (Debian: dataset-fashion-mnist). All times are CPU time of one core, since other work on the machine changes that less than the clock.

    reading     ours                    what `scaling dedup` does to an image: decode, SHA-256 of the pixels, small picture, hash in 8 orientations
                imagehash               Pillow, and phash of 64 bits, once; and again for each of the 8 orientations
    searching   ours                    `HashIndex` of 100,000 images in 8 orientations, all queries; hashes of 256 bits
                faiss, all pairs        `IndexBinaryFlat.range_search` over the same, a slice of 300 queries, multiplied
                faiss, multi-hash       `IndexBinaryMultiHash`, 12 tables of 20 bits, 2 flips (all pairs up to 35 bits): a slice of 1,000, multiplied
                imagehash, all pairs    NumPy: XOR and bit count of its 64-bit hashes with all 800,000; a slice of 100, multiplied

Synthetic hashes are random bits, of which 10,000 queries are copies with 0 … 40 bits turned. Real ones are those of Fashion-MNIST enlarged to
64 px, 60,000 × 10,000, which are more alike than photographs, and those of all images in FOLDER, within.
Each searching contender runs in a process of its own; its memory is the growth of that process's peak.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from csv_table import markdown, rows_of

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
REPEATS, INDEXED, PLANTED = 3, 100_000, 10_000
WITHIN = 40
Row = tuple[str, str, str, float, str]
"""part, what, contender, figure, unit"""


# -- reading -----------------------------------------------------------------------------------------------------------------------


def jpegs(folder: Path, count: int) -> list[bytes]:
    from PIL import Image

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    random.Random(0).shuffle(paths)
    chosen = []
    for path in paths:
        with Image.open(path) as image:
            if 256 <= min(image.size) <= 512:
                chosen.append(path.read_bytes())
        if len(chosen) == count:
            break
    return chosen


def fashion_mnist() -> np.ndarray | None:
    from scaling.errors import DataNotFound
    from trainer import data

    try:
        return data.load("fashion_mnist", {}).train._images
    except DataNotFound:
        return None


def reading(folder: Path, count: int) -> list[Row]:
    import imagehash
    from PIL import Image

    from trainer.data.images.picture import picture
    from trainer.duplicates.comparison import prepared
    from trainer.duplicates.hashing import hashes
    from trainer.duplicates.pixels import digest

    def ours(content: Any) -> None:
        pixels = picture(content, 3 if isinstance(content, bytes) else 1).pixels()
        digest(pixels)
        hashes(prepared(pixels).luma)

    def theirs(content: Any) -> Any:
        image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else Image.fromarray(content[..., 0])
        return imagehash.phash(image)

    def theirs_in_8(content: bytes) -> None:
        image = Image.open(io.BytesIO(content)).convert("L")
        for turned in (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
            for angle in (0, 90, 180, 270):
                imagehash.phash(turned.rotate(angle, expand=True))

    files = jpegs(folder, count)
    pixels = [picture(content, 3).pixels() for content in files]
    small = [prepared(image).luma for image in pixels]
    rows: list[Row] = [
        ("reading", "JPEG", "files", len(files), "images"),
        ("reading", "JPEG", "mean size", statistics.mean(map(len, files)) / 1000, "kB"),
        ("reading", "JPEG", "mean pixels", statistics.mean(image.shape[0] * image.shape[1] for image in pixels) / 1000, "thousand"),
    ]
    of_jpegs: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "ours": (ours, files),
        "ours: decode": (lambda content: picture(content, 3).pixels(), files),
        "ours: SHA-256": (digest, pixels),
        "ours: small picture": (prepared, pixels),
        "ours: hash in 8 orientations": (hashes, small),
        "imagehash": (theirs, files),
        "imagehash in 8 orientations": (theirs_in_8, files),
    }
    rows += [("reading", "JPEG", name, figure, "images/s/core") for name, figure in rates(of_jpegs).items()]
    images = fashion_mnist()
    if images is not None:
        some = list(images[:2000])
        rates_28 = rates({"ours": (ours, some), "imagehash": (theirs, some)})
        rows += [("reading", "28 px array", name, figure, "images/s/core") for name, figure in rates_28.items()]
    return rows


def rates(contenders: dict[str, tuple[Callable[[Any], Any], list[Any]]]) -> dict[str, float]:
    """Images a second of CPU time: the median of `REPEATS` rounds, in each of which all take their turn."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(REPEATS):
        for name, (work, images) in contenders.items():
            begun = time.process_time()
            for image in images:
                work(image)
            taken[name].append(len(images) / (time.process_time() - begun))
    return {name: statistics.median(found) for name, found in taken.items()}


# -- searching ---------------------------------------------------------------------------------------------------------------------


def synthetic(queries: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hashes of the index [8 · INDEXED, 32], of the queries, which of the index the planted queries copy, and in how many bits they differ."""
    rng = np.random.default_rng(0)
    indexed = rng.integers(0, 256, (8 * INDEXED, 32), np.uint8)
    asked = rng.integers(0, 256, (queries, 32), np.uint8)
    copied = rng.integers(0, len(indexed), PLANTED)
    bits = np.unpackbits(indexed[copied], axis=1)
    turned = rng.integers(0, WITHIN + 1, PLANTED)
    for row, count in enumerate(turned):
        bits[row, rng.choice(256, count, replace=False)] ^= 1
    asked[:PLANTED] = np.packbits(bits, axis=1)
    return indexed, asked, copied, turned


def of_fashion_mnist() -> tuple[np.ndarray, np.ndarray] | None:
    import cv2

    from trainer import data
    from trainer.duplicates.hashing import LEAST_DETAIL, hashes

    if (train := fashion_mnist()) is None:
        return None

    def hashed(images: np.ndarray) -> np.ndarray:
        found = (hashes(cv2.resize(image[..., 0], (64, 64), interpolation=cv2.INTER_LINEAR)) for image in images)
        return np.stack([rows for rows, detail in found if detail > LEAST_DETAIL])

    return hashed(data.load("fashion_mnist", {}).validation._images).reshape(-1, 32), hashed(train)[:, 0]


def of_pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from trainer.duplicates.hashing import LEAST_DETAIL
    from trainer.duplicates.opening import opened
    from trainer.duplicates.prints import prints

    with tempfile.TemporaryDirectory() as work:
        [split] = [split for name, split in opened(str(folder)).items() if name in ("images", "train")]
        found = np.concatenate([shard.hashes[shard.detail > LEAST_DETAIL] for shard in prints(split, Path(work))])
    return found.reshape(-1, 32), found[:, 0]


def search_ours(indexed: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    from trainer.duplicates.hash_index import HashIndex

    begun = time.process_time()
    index = HashIndex(indexed)
    built = time.process_time() - begun
    begun = time.process_time()
    parts = [index.search(asked[first : first + 2**16], WITHIN, most=256) for first in range(0, len(asked), 2**16)]
    spent = time.process_time() - begun
    query = np.concatenate([part.question + 2**16 * number for number, part in enumerate(parts)])
    found = np.concatenate([part.other for part in parts])
    return {"build_seconds": built, "seconds": spent, "pairs": len(query), "_pairs": (query, found)}  # type: ignore[dict-item]


def resident(what: str, *, anew: bool = False) -> float:
    """Megabytes that this process holds (VmRSS), or held at most (VmHWM) since it was last asked `anew`."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1000


def one(name: str, queries: int) -> dict[str, float]:
    """Measure one contender, in this process."""
    indexed, asked, copied, turned = synthetic(queries)
    before = resident("VmRSS", anew=True)
    if name == "ours":
        told = search_ours(indexed, asked)
        query, found = told.pop("_pairs")  # type: ignore[misc]
        memory = resident("VmHWM") - before
        there = np.zeros(PLANTED, bool)
        planted = np.flatnonzero(query < PLANTED)
        there[query[planted][found[planted] == copied[query[planted]]]] = True
        told["recall of 0 … 31 bits"] = float(there[turned <= 31].mean())
        told["recall of 32 … 40 bits"] = float(there[turned > 31].mean())
        return told | {"megabytes": memory}
    begun = time.process_time()
    if name == "imagehash, all pairs":
        hashes, some = indexed.view(np.uint64)[:, 0].copy(), asked[:100].view(np.uint64)[:, 0]
        for value in some:
            np.flatnonzero(np.bitwise_count(hashes ^ value) <= 8)
        return {"seconds": (time.process_time() - begun) * queries / len(some), "megabytes": hashes.nbytes / 1e6}
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(256) if name == "faiss, all pairs" else faiss.IndexBinaryMultiHash(256, 12, 20)
    if name == "faiss, multi-hash":
        index.nflip = 2
    index.add(indexed)
    built = time.process_time() - begun
    some = asked[-(300 if name == "faiss, all pairs" else 1000) :]
    begun = time.process_time()
    index.range_search(some, WITHIN + 1)
    memory = resident("VmHWM") - before
    return {"build_seconds": built, "seconds": (time.process_time() - begun) * queries / len(some), "megabytes": memory}


def searching(folder: Path, queries: int) -> list[Row]:
    what = f"{queries:.0e} × {INDEXED:.0e} random".replace("e+0", "e")
    rows: list[Row] = []
    for name in ("ours", "faiss, all pairs", "faiss, multi-hash", "imagehash, all pairs"):
        command = [sys.executable, __file__, "--one", name, "--queries", str(queries), "--pictures", str(folder)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        units = {"build_seconds": "s to build", "seconds": "s to search", "megabytes": "MB"}
        rows += [("searching", what, name, figure, units.get(part, part)) for part, figure in told.items()]
    real = {"60,000 × 10,000 Fashion-MNIST at 64 px": of_fashion_mnist(), "pictures, within": of_pictures(folder)}
    for what, hashes in real.items():
        if hashes is None:
            continue
        indexed, asked = hashes
        told = search_ours(indexed, asked)
        query, found = told.pop("_pairs")  # type: ignore[misc]
        others = found // 8 != query if what.startswith("pictures") else np.ones(len(query), bool)
        rows += [
            ("searching", what, "ours", len(asked), "queries"),
            ("searching", what, "ours", len(indexed) / 8, "indexed, in 8 orientations"),
            ("searching", what, "ours", told["build_seconds"], "s to build"),
            ("searching", what, "ours", told["seconds"], "s to search"),
            ("searching", what, "ours", 1e6 * told["seconds"] / len(asked), "µs a query"),
            ("searching", what, "ours", others.sum() / len(asked), "candidates a query"),
        ]
    return rows


# -- tables ------------------------------------------------------------------------------------------------------------------------


def picked(rows: list[dict[str, str]], what: str, contender: str, unit: str) -> str:
    """A figure as the table shows it; nothing where there is none."""
    found = [row["figure"] for row in rows if row["what"] == what and row["contender"] == contender and row["unit"] == unit]
    return f"{float(found[0]):,.0f}" if found else ""


def reading_table(rows: list[dict[str, str]]) -> str:
    names = dict.fromkeys(row["contender"] for row in rows if row["unit"] == "images/s/core")
    units = [(name, [picked(rows, what, name, "images/s/core") for what in ("JPEG", "28 px array")]) for name in names]
    return markdown(["images a second and core", "JPEG", "28 × 28 px array"], [(name, *figures) for name, figures in units])


def searching_table(rows: list[dict[str, str]]) -> str:
    random_hashes = [row for row in rows if row["what"].endswith("random")]
    names = dict.fromkeys(row["contender"] for row in random_hashes)
    units = ("s to build", "s to search", "MB")
    lines = [(name, *(picked(rows, random_hashes[0]["what"], name, unit) for unit in units)) for name in names]
    return markdown([random_hashes[0]["what"].replace(" random", ""), *units], lines)


def real_table(rows: list[dict[str, str]]) -> str:
    units = ("queries", "indexed, in 8 orientations", "s to build", "µs a query", "candidates a query")
    names = dict.fromkeys(row["what"] for row in rows if row["unit"] == "queries")
    figures = {(row["what"], row["unit"]): float(row["figure"]) for row in rows}
    return markdown(
        ["hashes of", *units],
        [
            (
                name,
                *(f"{figures[name, unit]:,.3g}" if figures[name, unit] < 1000 else f"{figures[name, unit]:,.0f}" for unit in units),
            )
            for name in names
        ],
    )


TABLES = {"reading": reading_table, "searching": searching_table, "real": real_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", *TABLES], default="run")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.what != "run":
        print(TABLES[asked.what](rows_of(asked.csv or Path(__file__).with_suffix(".csv"))))
        return
    if asked.pictures is None:
        parser.error("--pictures FOLDER is missing")
    if asked.one:
        print(json.dumps(one(asked.one, asked.queries)))
        return
    rows = [*reading(asked.pictures, asked.images), *searching(asked.pictures, asked.queries)]
    for row in rows:
        print(f"{row[0]:10} {row[1]:42} {row[2]:30} {row[3]:12,.2f} {row[4]}")
    if asked.csv:
        with asked.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["part", "what", "contender", "figure", "unit"])
            writer.writerows([(*row[:3], f"{row[3]:.4g}", row[4]) for row in rows])


if __name__ == "__main__":
    main()
