"""Images a second from JPEG files to a batch at 224 px with random crop and flip: this project, torchvision and Grain, on the same files.

    python benchmarks/input.py [--peers PYTHON] [--images 512] [--repeats 5] [--workers 2] [--csv benchmarks/input.csv]

Files: made here, 500×375 px, quality 90, chroma at half resolution, about 100 kB. Light has an amplitude spectrum of 1/f^1.2 (natural images:
1/f to 1/f^1.3, Field 1987, doi 10.1364/JOSAA.4.002379), colour follows light with small deviations of the same spectrum.

Contenders, each in a fresh process, all contenders once a repeat, so that a busy machine is busy for all:

    one core    ours                    Preparation: simplejpeg + OpenCV
                torchvision tensors     decode_jpeg, v2.RandomResizedCrop, v2.RandomHorizontalFlip on uint8 tensors
                torchvision PIL         Image.open, the same transforms on PIL images, as its ImageFolder does it
    loader      ours                    open_loader over an ImageFolder, normalised float32 batches of 64
                torch DataLoader        ImageFolder + the tensor transforms + Normalize
                Grain, PIL              MapDataset → random crop with Pillow → batch → mp_prefetch
                Grain, our decoder      the same with Preparation, so that only the moving of batches differs

Per core: images by the CPU time of the process and of its workers, which a busy machine changes less than the clock does. `--peers` is the
interpreter of an environment with torch, torchvision, grain and pillow (and simplejpeg, opencv-python-headless for "Grain, our decoder"); without it
only this project is measured.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from csv_table import markdown, rows_of

ROOT = Path(__file__).parents[1]
BATCH, PX = 64, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_images(folder: Path, count: int) -> int:
    """Write them as an ImageFolder of two classes; mean size in bytes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = 375, 500
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    distance[0, 0] = 1

    def plane() -> Any:
        values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / distance**1.2).real
        return (values - values.mean()) / values.std()

    for split, images in (("train", count), ("val", 2)):
        for index in range(images):
            light, warm, green = plane(), plane(), plane()
            pixels = np.stack([light + 0.3 * warm, light - 0.1 * warm + 0.1 * green, light - 0.4 * green], -1) * 50 + 120
            path = folder / split / "ab"[index % 2] / f"{index:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)
    return sum(path.stat().st_size for path in (folder / "train").rglob("*.jpg")) // count


def paths(folder: Path) -> list[Path]:
    return sorted((folder / "train").rglob("*.jpg"))


# -- one core ----------------------------------------------------------------------------------------------------------------------


def ours_one(folder: Path) -> Callable[[int], None]:
    """Bytes to pixels [224, 224, 3]."""
    from trainer.config import AugmentConfig
    from trainer.data.images.preparation import Preparation

    contents = [path.read_bytes() for path in paths(folder)]
    prepare = Preparation((PX, PX, 3), 2, augment=AugmentConfig(crop=True, flip=True))
    return lambda index: prepare({"image": contents[index], "label": 0, "id": index}, 0, 0) and None


def torchvision_tensors(folder: Path) -> Callable[[int], None]:
    import torch
    from torchvision.io import decode_jpeg
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    contents = [torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8) for path in paths(folder)]
    transform = v2.Compose([v2.RandomResizedCrop(PX, antialias=True), v2.RandomHorizontalFlip()])
    return lambda index: transform(decode_jpeg(contents[index])) is None


def torchvision_pil(folder: Path) -> Callable[[int], None]:
    import torch
    from PIL import Image
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    contents = [path.read_bytes() for path in paths(folder)]
    transform = v2.Compose([v2.RandomResizedCrop(PX), v2.RandomHorizontalFlip(), v2.PILToTensor()])
    return lambda index: transform(Image.open(io.BytesIO(contents[index])).convert("RGB")) is None


# -- loaders -----------------------------------------------------------------------------------------------------------------------


def ours_loader(folder: Path, workers: int) -> Iterator[int]:
    """Yields the number of images of each batch."""
    from trainer import AugmentConfig, DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data
    from trainer.data.loader import open_loader

    dataset = data.load("imagefolder", {"path": str(folder), "train_px": PX})
    config = TrainConfig(
        DataConfig("imagefolder", dataset.card), ModelConfig("nfnet", "F0"), ScheduleConfig(100.0), BATCH, 0.1,
        augment=AugmentConfig(crop=True, flip=True),
    )  # fmt: skip
    with open_loader(dataset.train, data.Order.of(config), config=config, execution=Execution(workers=workers)) as loader:
        for batch in loader:
            yield len(batch.ids)


def torch_loader(folder: Path, workers: int) -> Iterator[int]:
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.io import decode_jpeg, read_file
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(PX, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    images = ImageFolder(str(folder / "train"), transform=transform, loader=lambda path: decode_jpeg(read_file(path)))
    sampler = torch.utils.data.RandomSampler(images, replacement=True, num_samples=100 * len(images))
    for batch, _ in torch.utils.data.DataLoader(images, BATCH, sampler=sampler, num_workers=workers, prefetch_factor=2):
        yield len(batch)


def grain_loader(folder: Path, workers: int, read: Callable[[int, Any], Any]) -> Iterator[int]:
    import grain
    import numpy as np

    class Files:
        def __init__(self) -> None:
            self.paths = paths(folder)

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> tuple[int, bytes]:
            return index, self.paths[index].read_bytes()

    # A row of 224 pixels at once: broadcasting over three channels, as one would write it, takes ten times as long.
    scale = np.tile(1 / (255 * np.array(STD, np.float32)), PX)
    shift = np.tile(np.array(MEAN, np.float32) / np.array(STD, np.float32), PX)

    def normalised(pixels: Any) -> Any:
        return (pixels.reshape(PX, PX * 3) * scale - shift).reshape(pixels.shape)

    chain = (
        grain.MapDataset.source(Files())
        .shuffle(seed=0)
        .repeat()
        .random_map(read, seed=1)
        .map(normalised)
        .batch(BATCH)
        .to_iter_dataset()
    )
    for batch in chain.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)):
        yield len(batch)


def grain_pil(folder: Path, workers: int) -> Iterator[int]:
    import numpy as np
    from PIL import Image

    def read(example: Any, rng: Any) -> Any:
        image = Image.open(io.BytesIO(example[1])).convert("RGB")
        area, aspect = rng.uniform(0.08, 1) * image.width * image.height, np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        width, height = min(image.width, round((area * aspect) ** 0.5)), min(image.height, round((area / aspect) ** 0.5))
        left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
        pixels = np.asarray(image.resize((PX, PX), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)))
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels

    yield from grain_loader(folder, workers, read)


def grain_ours(folder: Path, workers: int) -> Iterator[int]:
    from trainer.config import AugmentConfig
    from trainer.data.images.preparation import Preparation

    prepare = Preparation((PX, PX, 3), 2, augment=AugmentConfig(crop=True, flip=True))

    def read(example: Any, rng: Any) -> Any:
        return prepare({"image": example[1], "label": 0, "id": example[0]}, 0, 0)[0]

    yield from grain_loader(folder, workers, read)


ONE_CORE = {"ours": ours_one, "torchvision tensors": torchvision_tensors, "torchvision PIL": torchvision_pil}
LOADERS = {"ours": ours_loader, "torch DataLoader": torch_loader, "Grain, PIL": grain_pil, "Grain, our decoder": grain_ours}


# -- measuring ---------------------------------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all that it started and that still runs, from /proc."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    seconds = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            seconds += cpu_seconds(int(child))
    return seconds


def measure(kind: str, name: str, folder: Path, images: int, workers: int) -> dict[str, float]:
    """In a process of its own: images a second by the clock, and by CPU time; for a loader, seconds to the first batch too."""
    started = time.perf_counter()
    if kind == "one core":
        step = ONE_CORE[name](folder)
        for index in range(min(32, images)):
            step(index)
        clock, cpu = time.perf_counter(), time.process_time()
        for index in range(images):
            step(index)
        return {"wall": images / (time.perf_counter() - clock), "per_core": images / (time.process_time() - cpu)}
    batches = LOADERS[name](folder, workers)
    next(batches)
    first = time.perf_counter() - started
    for _ in range(8):  # what was read ahead while the first one was waited for
        next(batches)
    clock, cpu, seen = time.perf_counter(), cpu_seconds(os.getpid()), 0
    while seen < 4 * images:
        seen += next(batches)
    wall, spent = time.perf_counter() - clock, cpu_seconds(os.getpid()) - cpu
    return {"wall": seen / wall, "per_core": seen / spent, "first_batch_seconds": first}


def in_child(python: str, kind: str, name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float] | str:
    """One measurement, or the last line of why there is none."""
    command = [
        python,
        __file__,
        "--contender",
        kind,
        name,
        str(folder),
        "--images",
        str(arguments.images),
        "--workers",
        str(arguments.workers),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, env=environment, stdout=out, stderr=errors, start_new_session=True)
        try:
            code: int | str = child.wait(timeout=300)
        except subprocess.TimeoutExpired:
            code = "none after 300 s"
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it, or workers that outlived it
        child.wait()
        answers, complaints = (
            [line for line in (file.seek(0), file.read())[1].splitlines() if line.strip()] for file in (out, errors)
        )
    return (
        json.loads(answers[-1]) if code == 0 and answers else f"exit {code}: {complaints[-1] if complaints else 'no reason given'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run", help="table: what the file says")
    parser.add_argument("--peers", help="interpreter of an environment with torch, torchvision and grain")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--contender", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        kind, name, folder = arguments.contender
        print(json.dumps(measure(kind, name, Path(folder), arguments.images, arguments.workers)), flush=True)
        return
    if arguments.what == "table":
        print(table(arguments.csv or Path(__file__).with_suffix(".csv")))
        return
    contenders = [("one core", name) for name in ONE_CORE] + [("loader", name) for name in LOADERS]
    found: dict[tuple[str, str], list[dict[str, float]]] = {contender: [] for contender in contenders}
    reasons: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as place:
        size = make_images(Path(place), arguments.images)
        print(
            f"{arguments.images} images of 500×375 px, {size / 1000:.0f} kB on average; {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        )
        for _ in range(arguments.repeats):
            for contender in contenders:
                python = sys.executable if contender[1] == "ours" else arguments.peers
                if python is None or contender in reasons:
                    continue
                answer = in_child(python, *contender, Path(place), arguments)
                if isinstance(answer, str):
                    reasons[contender] = answer
                else:
                    found[contender].append(answer)
    rows = report(found, reasons)
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def table(path: Path) -> str:
    """Medians in Markdown, and how many times as fast this project is, for docs/data.md."""
    words = {"one core": "decode, crop and flip, one core", "loader": "to a normalised batch of 64, two workers"}
    rows = rows_of(path)
    ours = {row["what"]: float(row["per_core"]) for row in rows if row["contender"] == "ours"}
    lines = [
        [
            words[row["what"]],
            "here" if row["contender"] == "ours" else row["contender"],
            f"{float(row['per_core']):.0f}",
            f"{float(row['per_core_low']):.0f} … {float(row['per_core_high']):.0f}",
            "" if row["contender"] == "ours" else f"{ours[row['what']] / float(row['per_core']):.2f}",
        ]
        for row in rows
    ]
    return markdown(["", "", "images a second and core", "of the rounds", "here / this"], lines)


def report(found: dict[tuple[str, str], list[dict[str, float]]], reasons: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Print a table of medians, with the range over repeats, and return it."""
    rows: list[dict[str, Any]] = []
    for (kind, name), answers in found.items():
        if not answers:
            print(f"{kind:9}  {name:22}  not measured: {reasons.get((kind, name), 'no --peers')}")
            continue
        row: dict[str, Any] = {"what": kind, "contender": name, "repeats": len(answers)}
        for key in ("per_core", "wall", "first_batch_seconds"):
            values = [answer[key] for answer in answers if key in answer]
            row[key] = round(statistics.median(values), 3) if values else ""
        low, high = (pick(answer["per_core"] for answer in answers) for pick in (min, max))
        row |= {"per_core_low": round(low, 3), "per_core_high": round(high, 3)}
        rows.append(row)
        print(
            f"{kind:9}  {name:22}  {row['per_core']:7.0f} images/s per core ({low:.0f} … {high:.0f})   {row['wall']:7.0f} images/s by the clock"
            + (f"   first batch after {row['first_batch_seconds']:.1f} s" if kind == "loader" else "")
        )
    return rows


if __name__ == "__main__":
    main()
