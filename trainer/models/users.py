"""Imports a user's own family, `package.module:factory`, and turns what it raises or returns wrongly into one line."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from scaling.errors import ScalingError, UsageError
from trainer.models.protocol import Family, LayerOf, Mask, ModelFamily
from trainer.typing import Options
from trainer.users_code import imported, told

__all__ = ["users_family"]

_DEBUG = "`scaling --debug …` shows all that led to it"
_AT_LEAST = {"params": 1, "macs": 0, "activations": 0, "kept_activations": 0, "total_stride": 1}

_MASKS = ("decayed", "clipped")


def users_family(source: str) -> Family:
    """Make the family of `package.module:factory`. Its functions raise `UsageError` and give plain finite numbers; `build` is as it came.

    Raises `UsageError` when it cannot be imported or made.
    """
    factory = imported(source, "model family")
    try:
        made = factory()
    except ScalingError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"model family {source!r} raised {told(error, source)}", hint=_DEBUG) from error
    if not isinstance(made, ModelFamily):
        raise UsageError(
            f"model family {source!r} gave a {type(made).__name__}",
            hint="let the factory return a trainer.models.Family, or an object with the methods of trainer.models.ModelFamily",
        )
    optional: dict[str, Any] = {
        name: _guarded(count, name, source, partial(_number, name=name, least=least))
        for name, least in _AT_LEAST.items()
        if (count := getattr(made, name, None)) is not None
    }
    if (layer := getattr(made, "layer", None)) is not None:
        optional["layer"] = _layer(layer, source)
    optional |= {name: _mask(mask, name, source) for name in _MASKS if (mask := getattr(made, name, None)) is not None}
    check = _guarded(made.check, "check", source, lambda _, model: None)
    return Family(names=made.names, build=made.build, check=check, **optional)


def _guarded(function: Callable[..., Any], name: str, source: str, checked: Callable[[Any, str], Any]) -> Callable[..., Any]:
    """Wrap a function of the family, so that what it raises is a `UsageError`.

    checked: (what the function gave, the model's name) → what the caller gets.
    """

    @wraps(function)
    def asked(model: str, options: Options, **shape: Any) -> Any:
        try:
            given = function(model, options, **shape)
        except ScalingError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"{model}: `{name}` of its family raised {told(error, source)}", hint=_DEBUG) from error
        return checked(given, model)

    return asked


def _mask(mask: Mask, name: str, source: str) -> Mask:
    """Wrap a mask of the family, so that what it raises is a `UsageError`, and what it gives a truth value."""

    @wraps(mask)
    def asked(path: tuple[str, ...], shape: tuple[int, ...]) -> bool:
        try:
            return bool(mask(path, shape))
        except ScalingError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"`{name}` of model family {source!r} raised {told(error, source)}", hint=_DEBUG) from error

    return asked


def _layer(layer: LayerOf, source: str) -> LayerOf:
    """Wrap the family's `layer`, so that what it raises or gives wrongly is a `UsageError`."""

    @wraps(layer)
    def asked(path: tuple[str, ...]) -> int | None:
        try:
            given = layer(path)
            number = None if given is None else operator.index(given)
        except ScalingError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"`layer` of model family {source!r} raised {told(error, source)}", hint=_DEBUG) from error
        if number is not None and number < 0:
            raise UsageError(f"`layer` of model family {source!r} gave {number} for {'/'.join(path)}", hint="layers count from 0")
        return number

    return asked


def _number(given: Any, model: str, *, name: str, least: int) -> int | float:
    """Return a plain number for a number of any type.

    Raises `UsageError` for text, truth values, NaN, infinity and what is below the least.
    """
    try:
        if isinstance(given, str | bytes | bool):
            raise TypeError
        try:
            number: int | float = operator.index(given)
        except TypeError:
            number = float(given)
            number = int(number) if number.is_integer() else number
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= least) or (name == "params" and not isinstance(number, int)):
        raise UsageError(
            f"{model}: `{name}` of its family gave {_shown(given)}, which is no whole number of {least} or more",
            hint="counts are plain numbers",
        )
    return number


def _shown(given: object) -> str:
    try:
        text = " ".join(repr(given).split())
    except Exception:  # noqa: BLE001 - the user's code again
        text = ""
    return text[:60] if isinstance(given, int | float) else f"the {type(given).__name__} {text[:60]}"
