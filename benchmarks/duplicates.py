"""How well `scaling dedup` finds copies, and what it takes for copies that are none, over real images.

    python -m benchmarks.duplicates gather DIR          # pictures of Debian packages: about 1.2 GB of downloads, needs apt-get and dpkg
    python -m benchmarks.duplicates quality DIR --set pictures [--csv benchmarks/duplicates_quality.csv]
    python -m benchmarks.duplicates quality DIR --set fashion-mnist
    python -m benchmarks.duplicates quality DIR --set "fashion-mnist test"   # test images against training images: false positives alone
    python -m benchmarks.duplicates sheets DIR --set pictures   # the pairs that were found in the set itself, as PNGs to look at
    python -m benchmarks.duplicates table               # the figures in the CSV, for docs/duplicates.md

Copies of images that are drawn from the set are planted (`benchmarks/copies.py`), and the whole finder looks for them in the set. A copy is
found if it is paired with its original, or with an image that the search within the set pairs with the original: either way it is left out.
Images without contrast are not planted: they are found only if they are the same. Intervals are exact binomial ones, 99 %.

False positives are pairs within the set itself, without planted copies, that show different things. `JUDGED` names those: all other pairs
that were found have been looked at and are real copies, or variants of one picture. Pairs that were not there then are counted beside them.

Thresholds were chosen on every second picture, and on Fashion-MNIST's training images; `--half other` plants from the rest.
A run that is killed goes on where it stopped: `find` keeps what it has computed in DIR/work.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import stats

from benchmarks.copies import COPIES
from benchmarks.csv_table import markdown, rows_of
from benchmarks.duplicates_sets import FASHION, SEED, Fashion, Files, Pixels, Planted, gather, pictures
from trainer.duplicates.finding import Found, Searched, find
from trainer.duplicates.orientation import ORIENTATIONS, oriented
from trainer.duplicates.splits import Split

CSV = Path(__file__).with_name("duplicates_quality.csv")
JUDGED = Path(__file__).with_name("duplicates_judged.csv")
HEAD = ["set", "copies", "images", "found", "share", "99 % interval"]


def searched(a: Split, b: Split | None, work: Path, workers: int) -> Found:
    """Search, and say once in a while how far it is."""
    last = 0.0

    def tell(progress: Searched) -> None:
        nonlocal last
        if time.monotonic() - last > 20:
            last = time.monotonic()
            print(f"  {progress.what}: {progress.done:,} of {progress.total:,}", flush=True)

    return find(a, b, work=work, workers=workers, on_progress=tell)


def quality(folder: Path, name: str, *, count: int, half: str, workers: int) -> list[dict[str, object]]:
    """Plant copies of `count` images, search, print what was found, and return the rows of the CSV."""
    work = folder / "work"
    split, other = opened(folder, name)
    held = split.examples
    assert isinstance(held, Pixels)
    among = other if half == "other" else range(len(held))
    if name == "fashion-mnist test":
        return _printed([_false_positives(name, searched(split, opened(folder, "fashion-mnist")[0], work, workers))])
    within = searched(split, None, work, workers)
    rows = [_false_positives(name, within)]
    if count:
        drawn = np.random.default_rng(SEED).permutation(np.asarray(among))
        originals = tuple(int(i) for i in drawn[: count * 2] if held.pixels(int(i)).std() >= 4)[:count]
        planted = Planted(held, originals)
        copies = _split(f"copies of {name}", planted, [str(i) for i in range(len(planted))], split.channels)
        rows += _recalls(name, originals, searched(copies, split, work, workers), within)
    return _printed(rows)


def opened(folder: Path, name: str) -> tuple[Split, Sequence[int]]:
    """Return a set as a split, and the numbers of the images that copies are planted of."""
    if name.startswith("fashion-mnist"):
        part = "t10k" if name.endswith("test") else "train"
        images = Fashion(FASHION / f"{part}-images-idx3-ubyte.gz")
        return _split(name, images, [f"{part} {i}" for i in range(len(images))], 1), range(len(images))
    kept, other, generated = pictures(folder)
    files = Files(tuple(generated if name == "generated" else kept))
    place = {path: number for number, path in enumerate(kept)}
    split = _split(name, files, [str(path.relative_to(folder / "pictures")) for path in files.paths], 3)
    return split, [place[path] for path in other] if name == "pictures" else range(len(files))


def sheets(folder: Path, name: str, workers: int, columns: int, lines: int) -> None:
    """Write the pairs that are found within a set as PNGs below DIR/sheets: those that differ most first."""
    split, _ = opened(folder, name)
    other = opened(folder, "fashion-mnist")[0] if name == "fashion-mnist test" else None
    found = searched(split, other, folder / "work", workers)
    held, others = split.examples, found.b.examples
    assert isinstance(held, Pixels)
    assert isinstance(others, Pixels)
    pairs = sorted((pair for pair in found.pairs if pair.rule != "exact"), key=lambda pair: -pair.distance)
    cell = 64
    for page, first in enumerate(range(0, len(pairs), columns * lines)):
        sheet = Image.new("RGB", (columns * (2 * cell + 6), lines * (cell + 4)), "white")
        for place, pair in enumerate(pairs[first : first + columns * lines]):
            left, top = place % columns * (2 * cell + 6), place // columns * (cell + 4)
            one = oriented(held.pixels(pair.a), ORIENTATIONS.index(pair.orientation))
            for shift, pixels in ((0, one), (cell, others.pixels(pair.b))):
                image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)).convert("RGB")
                sheet.paste(image.resize((cell, cell), Image.Resampling.BOX), (left + shift, top))
        path = folder / "sheets" / f"{name}_{page:02d}.png"
        path.parent.mkdir(exist_ok=True)
        sheet.save(path)
        path.with_suffix(".txt").write_text(
            "".join(
                f"{place // columns},{place % columns}\t{pair.distance:.3f}\t{found.a.id(pair.a)}\t{found.b.id(pair.b)}\n"
                for place, pair in enumerate(pairs[first : first + columns * lines])
            )
        )
    print(f"{len(pairs)} pairs on sheets, {sum(pair.rule == 'exact' for pair in found.pairs)} more have equal pixels")


def table(path: Path) -> str:
    """Make the table of the last figures of each set and kind."""
    last = {(row["set"], row["copies"]): row for row in rows_of(path)}
    return markdown(HEAD, [_line(row) for row in last.values()])


def _line(row: dict[str, str]) -> list[str]:
    planted, found = int(row["planted"]), int(row["found"])
    low, high = (f"{float(row[end]):.3g}" for end in ("low", "high"))
    return [row["set"], row["copies"], f"{planted:,}", f"{found:,}", f"{found / planted:.3g}", f"{low} … {high}"]


def _recalls(name: str, originals: tuple[int, ...], found: Found, within: Found) -> list[dict[str, object]]:
    near: dict[int, set[int]] = {i: {i} for i in originals}
    for pair in within.pairs:
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            if one in near:
                near[one].add(other)
    hits = np.zeros((len(originals), len(COPIES)), bool)
    for pair in found.pairs:
        image, kind = divmod(pair.a, len(COPIES))
        hits[image, kind] |= pair.b in near[originals[image]]
    return [_row(name, kind, len(originals), int(hits[:, place].sum())) for place, kind in enumerate(COPIES)]


def _false_positives(name: str, within: Found) -> dict[str, object]:
    """Count pairs that were judged to show different things. What was not found when they were judged is said."""
    judged = [row for row in rows_of(JUDGED) if row["set"] == name] if JUDGED.exists() else []
    names = {tuple(sorted((within.a.id(pair.a), within.b.id(pair.b)))): pair.rule for pair in within.pairs}
    wrong = [row for row in judged if row["kind"] == "different" and tuple(sorted((row["a"], row["b"]))) in names]
    looked_at = next((row for row in judged if row["kind"] == "looked at"), None)
    told = _told(names)
    equal = sum(rule == "exact" for rule in names.values())
    print(
        f"{name}: {within.images_a:,} images, {len(names):,} pairs ({equal:,} of equal pixels), {len(wrong)} of different pictures"
    )
    if looked_at is None or looked_at["a"] != told:
        print(f"  these pairs ({told}) are not those that were looked at: {looked_at}")
    for row in wrong:
        print(f"  different: {row['a']} | {row['b']}")
    return _row(name, "none: false positives", within.images_a, len(wrong))


def _told(names: dict[tuple[str, ...], str]) -> str:
    """Name a set of pairs by its digest."""
    return hashlib.sha256("\n".join(sorted("|".join(pair) for pair in names)).encode()).hexdigest()[:12]


def _printed(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    return rows


def _row(name: str, kind: str, planted: int, found: int) -> dict[str, object]:
    interval = stats.binomtest(found, planted).proportion_ci(0.99)
    return {
        "set": name,
        "copies": kind,
        "planted": planted,
        "found": found,
        "low": f"{interval.low:.3g}",
        "high": f"{interval.high:.3g}",
    }


def _split(name: str, examples: Pixels, ids: list[str], channels: int) -> Split:
    told = hashlib.sha256(repr([name, SEED, ids, getattr(examples, "originals", None)]).encode()).hexdigest()[:16]
    return Split(name, told, "images", examples, channels, ids.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gather", "quality", "sheets", "table"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--set", choices=["pictures", "generated", "fashion-mnist", "fashion-mnist test"], default="pictures")
    parser.add_argument("--count", type=int, default=1000, help="images that copies are planted of; 0: false positives alone")
    parser.add_argument("--half", choices=["other", "all"], default="other")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="append the figures to this file")
    parser.add_argument("--columns", type=int, default=14)
    parser.add_argument("--lines", type=int, default=18)
    arguments = parser.parse_args()
    if arguments.what == "table":
        print(table(arguments.csv or CSV))
    elif arguments.folder is None:
        parser.error("name the folder that holds the pictures")
    elif arguments.what == "gather":
        gather(arguments.folder)
    elif arguments.what == "sheets":
        sheets(arguments.folder, arguments.set, arguments.workers, arguments.columns, arguments.lines)
    else:
        rows = quality(arguments.folder, arguments.set, count=arguments.count, half=arguments.half, workers=arguments.workers)
        if arguments.csv:
            is_new = not arguments.csv.exists()
            with arguments.csv.open("a", newline="") as file:
                writer = csv.DictWriter(file, ["date", *rows[0]], lineterminator="\n")
                if is_new:
                    writer.writeheader()
                writer.writerows({"date": datetime.now(UTC).strftime("%Y-%m-%d"), **row} for row in rows)


if __name__ == "__main__":
    main()
