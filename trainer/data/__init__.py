"""Real images for the trainer, one file a format. `card` describes a data set without reading it whole, `load` reads it.

A data set of your own: `dataset: {source: "package.module:factory"}`, where `factory(options)` returns a `Dataset`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from scaling.errors import DataError, ScalingError, UnknownName, UsageError
from trainer.data import array_record, declared, digits, idx, imagefolder, parquet, shapes, webdataset
from trainer.data.corrections import corrected
from trainer.data.dataset import ArrayExamples, BadExample, DataCard, Dataset, Example, Examples
from trainer.data.images.optional import encoded_picture
from trainer.data.kept import EXCLUDE, excluded, list_of
from trainer.data.normalization import Normalization
from trainer.data.order import Order
from trainer.data.permutation import permute
from trainer.typing import Options
from trainer.users_code import imported, told

__all__ = [
    "ArrayExamples",
    "BadExample",
    "DataCard",
    "Dataset",
    "Example",
    "Examples",
    "Normalization",
    "Order",
    "card",
    "load",
    "names",
    "options_of",
    "permute",
    "significant",
]


@dataclass(frozen=True)
class _Format:
    card: Callable[[Options], DataCard]
    load: Callable[[Options], Dataset]
    options: Mapping[str, str]
    defaults: Options = field(default_factory=dict)


def _photographs(module: ModuleType) -> _Format:
    def load(options: Options) -> Dataset:
        encoded_picture()  # before anything is read: an image that cannot be decoded for want of a package is not at fault
        return corrected(module.load(options))

    return _Format(lambda options: load(options).card, load, module.OPTIONS, module.DEFAULTS)


_FORMATS = {
    "digits": _Format(digits.card, digits.load, digits.OPTIONS),
    "fashion_mnist": _Format(idx.fashion_mnist.card, idx.fashion_mnist.load, idx.OPTIONS, idx.DEFAULTS),
    "mnist": _Format(idx.mnist.card, idx.mnist.load, idx.OPTIONS, idx.DEFAULTS),
    "imagefolder": _photographs(imagefolder),
    "parquet": _photographs(parquet),
    "webdataset": _photographs(webdataset),
    "array_record": _photographs(array_record),
    "declared": _Format(declared.card, declared.load, declared.OPTIONS),
}


def names() -> tuple[str, ...]:
    """Name the data sets that an experiments file can ask for."""
    return tuple(_FORMATS)


def options_of(name: str) -> Mapping[str, str]:
    """Return the options that a data set takes, with a description each. Raises `UnknownName`."""
    own = _format(name).options
    return own if name == "declared" else {**own, EXCLUDE: "list of training images that are left out, a Parquet file"}


def significant(name: str, options: Options) -> Options:
    """Drop the options that say what would be so anyway, so that spelling a default out makes no other run."""
    defaults = dict(_format(name).defaults) if name != "source" else {}
    if "eval_px" in options and "train_px" in options:
        defaults["eval_px"] = options["train_px"]
    if name != "source" and "eval_margin_px" in options and shapes.evaluation_margin(options) is None:
        defaults["eval_margin_px"] = options["eval_margin_px"]
    return {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}


def card(name: str, options: Options) -> DataCard:
    """Describe a data set: sizes, shape, fingerprint. Raises `UnknownName`, `DataNotFound`, `DataError`, `UsageError`, `MissingExtra`."""
    if EXCLUDE in options:
        return load(name, options).card
    return load_source(options).card if name == "source" else _format(name).card(options)


def load(name: str, options: Options) -> Dataset:
    """Read a data set, without the training images that the list of its option `exclude` names. Raises as `card`."""
    if EXCLUDE in options and name == "declared":
        raise UsageError("a data set that is only declared has no images to leave out", hint=f"remove {EXCLUDE}")
    whole = {key: value for key, value in options.items() if key != EXCLUDE}
    dataset = load_source(whole) if name == "source" else _format(name).load(whole)
    listed = list_of(options)
    return dataset if listed is None else excluded(dataset, whole, listed)


def load_source(options: Options) -> Dataset:
    """Load a user's own data set: `options["source"]` is `package.module:factory`, called with the other options."""
    source = str(options.get("source", ""))
    factory = imported(source, "dataset source")
    try:
        return corrected(factory({key: value for key, value in options.items() if key != "source"}))
    except ScalingError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"dataset source {source!r} raised {told(error, source)}", hint="`scaling --debug …` shows all that led to it"
        ) from error


def _format(name: str) -> _Format:
    if name not in _FORMATS:
        raise UnknownName("data set", name, _FORMATS)
    return _FORMATS[name]
