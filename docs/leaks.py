"""Measures what leaked validation images do to a study, and what `scaling dedup` gives back: the section "Does it matter?" of docs/duplicates.md.

    python docs/leaks.py train DIR          # trains the runs of the next line in the folder DIR; goes on where it was stopped
    python docs/leaks.py table docs/leaks.csv

The data are 12,000 training and 6,000 test images of Fashion-MNIST. Altered copies of 0, 5 and 20 % of the test images are added to the training
images, with their right labels: a quarter of them each is made smaller and larger again, written as a JPEG, flipped, or brightened.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml
from scipy import stats

import analysis
from trainer.data import ArrayExamples, DataCard, Dataset, load
from trainer.data.exclusion import ExclusionList
from trainer.data.fingerprint import digest

DOCS = Path(__file__).parent
SCALING = str(Path(sys.executable).with_name("scaling"))
TRAIN, VALIDATION = 12_000, 6_000
SHARES = (0, 5, 20)
"""Shares of the validation images that are leaked, in per cent."""
SEED = 20231025
STUDY: dict[str, Any] = {
    "models": [{"name": f"mlp-{width}", "source": "my_models:perceptrons"} for width in (8, 16, 32)],
    "epochs": [2, 4, 8],
    "batch_size": 32,
    "learning_rate": 0.1,
    "seeds": [0, 1, 2, 3],
    "optimizer": {"clip": 0.16, "clip_eps": 0.1, "weight_decay": 5e-4},
    "execution": {"pack": 4},
    "resources": {"accelerator": "cpu", "cores": 1, "mfu": 0.05},
}
LARGEST = [("mlp-32", 8)]
"""The cell of the most compute."""


def _resized(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(cv2.resize(pixels, (20, 20), interpolation=cv2.INTER_AREA), (28, 28), interpolation=cv2.INTER_CUBIC)


def _encoded(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)


def _flipped(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, ::-1]


def _brightened(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 1.2 + 10, 0, 255).astype(np.uint8)


ALTERED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "resized": _resized,
    "re-encoded": _encoded,
    "flipped": _flipped,
    "brightened": _brightened,
}
"""Alterations of an image [28, 28] uint8; copy k is altered in way k modulo their number."""


def data(options: Mapping[str, Any]) -> Dataset:
    """Make the data set: training images 0 … 11,999 are those of Fashion-MNIST, the others are copies of validation images. leaked: per cent."""
    whole, numbers = load("fashion_mnist", {}), np.random.default_rng(SEED)
    chosen = [numbers.permutation(len(split))[:count] for split, count in ((whole.train, TRAIN), (whole.validation, VALIDATION))]
    (images, labels), (held_out, classes) = (
        (np.stack([split[int(index)]["image"] for index in which]), np.array([split[int(index)]["label"] for index in which]))
        for split, which in zip((whole.train, whole.validation), chosen, strict=True)
    )
    leaked = numbers.permutation(VALIDATION)[: VALIDATION * int(options["leaked"]) // 100]
    ways = list(ALTERED.values())
    copies = [ways[place % len(ways)](held_out[index, ..., 0])[..., None] for place, index in enumerate(leaked)]
    images, labels = np.concatenate([images, *([np.stack(copies)] if copies else [])]), np.concatenate([labels, classes[leaked]])
    pixels = {"full_scale": 255.0, "mean": 0.286, "std": 0.353}
    train, validation = ArrayExamples(images, labels, **pixels), ArrayExamples(held_out, classes, **pixels)
    card = DataCard("leaks", digest(images, labels, held_out, classes), 10, (28, 28, 1), len(labels), VALIDATION)
    return Dataset(card, train, validation)


def train(folder: str) -> None:
    """Train on the data with leaks, look for duplicates, train on what is left; write both CSVs beside this script."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    files = {leaked: _written(place, f"leaks-{leaked}", {"source": "leaks:data", "leaked": leaked}) for leaked in SHARES}
    _submit(files.values(), place)
    found, lists = [], {leaked: f"leaks-{leaked}.parquet" for leaked in SHARES if leaked}
    for leaked, listed in lists.items():
        _run("dedup", files[leaked], "--output", listed, place=place)
        found += _found(leaked, place / listed)
    pd.DataFrame(found).to_csv(DOCS / "leaks_found.csv", index=False)
    _submit(
        [
            _written(place, f"leaks-{leaked}-dedup", {"source": "leaks:data", "leaked": leaked, "exclude": listed})
            for leaked, listed in lists.items()
        ],
        place,
    )
    (DOCS / "leaks.csv").write_text(_run("runs", "--csv", place=place))


def _written(place: Path, name: str, dataset: Mapping[str, Any]) -> str:
    file = place / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, "dataset": dict(dataset), **STUDY}, sort_keys=False))
    return file.name


def _submit(files: Iterable[str], place: Path) -> None:
    """Submit files to one store, all at once: the first schedules the runs of all."""
    submitted = [subprocess.Popen([SCALING, "submit", file], cwd=place, env=_environment()) for file in files]
    if sum(process.wait() for process in submitted):
        raise SystemExit("a study did not end well; the same command goes on")


def _run(*words: str, place: Path) -> str:
    return subprocess.run([SCALING, *words], cwd=place, env=_environment(), check=True, stdout=subprocess.PIPE, text=True).stdout


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(DOCS), str(DOCS.parent / "experiments"), os.environ.get("PYTHONPATH", "")])
    }


def _found(leaked: int, listed: Path) -> list[dict[str, Any]]:
    """Count the copies that a list names, by how they were altered, and the other images that it names."""
    named = {row.index for row in ExclusionList.read(listed).training_rows(data({"leaked": leaked}).card.fingerprint)}
    copies = range(VALIDATION * leaked // 100)
    rows = [
        {"leaked": leaked, "altered": way, "planted": len(own), "found": len(named & {TRAIN + copy for copy in own})}
        for place, way in enumerate(ALTERED)
        for own in [copies[place :: len(ALTERED)]]
    ]
    return [*rows, {"leaked": leaked, "altered": "not", "planted": 0, "found": sum(index < TRAIN for index in named)}]


def table(path: str) -> None:
    """Print a row a data set. Changes are over the data without leaks, of cells of one model and one number of epochs.

    The exponent is that of a power law of training FLOPs through all cells.
    """
    runs = pd.read_csv(path)
    found = pd.read_csv(Path(path).with_name("leaks_found.csv"))
    losses = {
        name: of.pivot_table(index=["model", "epochs"], columns="seed", values="val_loss")
        for name, of in runs.groupby("experiments")
    }
    noise = _seed_noise(losses.values())
    print("| training data | images | copies | val_loss, largest cell | change of it | change, mean of the cells | exponent |")
    print("|---|---|---|---|---|---|---|")
    for name in sorted(losses, key=lambda name: (int(name.split("-")[1]), name)):
        leaked, after = int(name.split("-")[1]), name.endswith("dedup")
        own = runs[runs["experiments"] == name]
        law = analysis.fit(own, x="train_flops", law="power")
        exponent = [law.coefficients["a"], *law.interval().loc["a", ["low", "high"]]]
        copies = VALIDATION * leaked // 100
        of_it = found[(found["leaked"] == leaked) & (found["planted"] > 0)]["found"].sum() if after else 0
        cells = {
            "training data": f"{leaked} % leaked{', after `dedup`' if after else ''}",
            "images": f"{int(own['unique_examples'].max()):,}",
            "copies": f"{copies - of_it:,}",
            "loss": f"{losses[name].loc[LARGEST].to_numpy().mean():.4f}",
            "largest": _change(losses[name].loc[LARGEST], losses["leaks-0"].loc[LARGEST], noise) if name != "leaks-0" else "–",
            "mean": _change(losses[name], losses["leaks-0"], noise) if name != "leaks-0" else "–",
            "exponent": f"{exponent[0]:.3f} ({exponent[1]:.3f} … {exponent[2]:.3f})",
        }
        print(f"| {' | '.join(cells.values())} |")
    print(f"\nSeeds of a cell differ by ×/÷ {math.exp(noise[0]):.3f} (one sd, {noise[1]} degrees of freedom).\n")
    print("| leaked | " + " | ".join(ALTERED) + " | other images removed |\n|---|" + "---|" * (len(ALTERED) + 1))
    for leaked, rows in found.groupby("leaked"):
        counts = [f"{row.found} of {row.planted}" if row.planted else f"{row.found} of {TRAIN:,}" for row in rows.itertuples()]
        print(f"| {leaked} % | {' | '.join(counts)} |")


def _seed_noise(losses: Iterable[pd.DataFrame]) -> tuple[float, int]:
    """Pool the standard deviation of log val_loss between seeds over all cells, with its degrees of freedom."""
    logs = [np.log(of) for of in losses]
    degrees = sum(of.size - len(of) for of in logs)
    return math.sqrt(sum(((of.sub(of.mean(axis=1), axis=0)) ** 2).to_numpy().sum() for of in logs) / degrees), degrees


def _change(losses: pd.DataFrame, plain: pd.DataFrame, noise: tuple[float, int]) -> str:
    """Write the mean log ratio of cells, with the 95 % interval that the noise of seeds gives it."""
    mean = (np.log(losses).mean(axis=1) - np.log(plain).mean(axis=1)).mean()
    half = stats.t.ppf(0.975, noise[1]) * noise[0] * math.sqrt(1 / losses.size + 1 / plain.size)
    value, low, high = (f"{100 * math.expm1(end):+.1f}" for end in (mean, mean - half, mean + half))
    return f"{value} % ({low} … {high})"


if __name__ == "__main__":
    {"train": train, "table": table}[sys.argv[1]](sys.argv[2])
