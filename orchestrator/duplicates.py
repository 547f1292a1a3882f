"""`dedup`: searches the data sets of an experiments file, or two that are named, for images that occur more than once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.experiments_file import Spec, read_spec
from orchestrator.experiments_file.finetuning import finetuning_of
from orchestrator.store import open_readonly
from orchestrator.store.lineage import lineage_of
from scaling.errors import DataNotFound, UsageError
from trainer import data
from trainer.duplicates.checked import Checked
from trainer.duplicates.finding import Searched, find
from trainer.duplicates.opening import opened
from trainer.duplicates.splits import Split, splits_of

if TYPE_CHECKING:
    from trainer.duplicates.network import NetworkFeatures

__all__ = ["dedup", "default_work"]

Compared = tuple[Split, Split | None]
"""Two splits to compare; None for a split with itself."""


def dedup(
    study: str | Path | Mapping[str, Any] | None = None,
    *,
    a: str | None = None,
    b: str | None = None,
    within: bool = False,
    network: str | None = None,
    db: str = "scaling.db",
    work: str | Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[Searched], None] | None = None,
) -> Checked:
    """Find exact and near-duplicates among images.

    >>> checked = scaling.dedup(a="photos", work="prints", workers=1)
    >>> [(row.id, row.partner, row.rule) for row in checked.excluded.rows]
    [('train/b/1.png', 'train/a/0.png', 'exact')]

    Args:
        study: an experiments file. Its training images are compared with its held-out ones and, where it fine-tunes, with both splits of
            that data set, whose training images are compared with its held-out ones too. `exclude:` in the file is not looked at.
        a, b: in place of a file, what `trainer.duplicates.opening.opened` reads. The training images of `a`, or all of a folder in no
            order, are compared with each split of `b`. Without `b` they are compared with the held-out ones of `a`, and each with the others.
        within: compare each training split with itself as well.
        network: id, or its beginning, of a finished run in `db` whose features propose pairs, in place of the fixed ones.
        work: folder of what was computed of each image, so that a search that was cut short goes on. Default `default_work()`.
        workers: processes that read images, 0 for none but this one; default all cores.

    Raises:
        UsageError: neither or both of `study` and `a`, or `b` alone; what they name is not known.
        DataNotFound, DataError: images are not there, or what they lie on fails.
        MissingExtra: the extra `dedup` is not installed.
    """
    if study is not None and (a is not None or b is not None):
        raise UsageError(
            "an experiments file and --a or --b were given: name one or the other", hint="scaling dedup experiments.yaml"
        )
    if study is None and a is None:
        raise UsageError(
            "--b needs --a" if b is not None else "name an experiments file, or data sets by --a and --b",
            hint="scaling dedup experiments.yaml; scaling dedup --a photos --b flowers",
        )
    pairs = _of_file(read_spec(study, uncut=True)[0], within) if study is not None else _of_sets(str(a), b, within)
    features = None if network is None else _features(network, db)
    folder = Path(work) if work is not None else default_work()
    count = (os.cpu_count() or 1) if workers is None else workers
    return Checked(
        tuple(
            find(first, second, work=folder, workers=count, embedding=features, on_progress=on_progress) for first, second in pairs
        )
    )


def default_work() -> Path:
    """Return the folder in which a user's searches keep what they computed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scaling" / "duplicates"


def _of_file(spec: Spec, within: bool) -> list[Compared]:
    """List what a file's training depends on: held-out images must not be among those that are learnt before."""
    before = _splits(spec)
    pairs: list[Compared] = [(before["train"], before["validation"])]
    trained = [before["train"]]
    if spec.finetune is not None:
        after = _splits(finetuning_of(spec))
        if after["train"].fingerprint != before["train"].fingerprint:
            pairs += [(before["train"], after["train"]), (before["train"], after["validation"])]
            pairs.append((after["train"], after["validation"]))
            trained.append(after["train"])
    return pairs + [(split, None) for split in trained if within]


def _splits(spec: Spec) -> dict[str, Split]:
    name, options = spec.dataset.name, {key: value for key, value in spec.dataset.options.items() if key != "exclude"}
    if name == "declared":
        raise DataNotFound(
            f"data set {options.get('title')!r} is only declared: there are no images to compare",
            hint="run this where the images are, with the data set that reads them",
        )
    return splits_of(data.load(name, options), options)


def _of_sets(a: str, b: str | None, within: bool) -> list[Compared]:
    first = opened(a)
    trained = [split for name, split in first.items() if name != "validation"]
    if b is None:
        pairs: list[Compared] = [(split, first["validation"]) for split in trained if "validation" in first]
        return pairs + [(split, None) for split in trained]
    second = opened(b)
    pairs = [(one, other) for one in trained for other in second.values()]
    return pairs + [(split, None) for split in trained if within]


def _features(run: str, db: str) -> NetworkFeatures:
    from trainer.duplicates.network import NetworkFeatures

    store = open_readonly(db)
    with store.read() as session:
        lineage = lineage_of(session, run)
    if not lineage.shares:
        raise UsageError(f"run {lineage.run_id} has no checkpoint: its network has learnt nothing yet", hint="name a finished run")
    return NetworkFeatures(lineage.shares[-1].directory)
