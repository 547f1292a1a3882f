"""`remembered`: a fit is made once, though the law, the forecast, the plan and the report of the same runs all take it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from analysis.fitting.estimate import Sample

__all__ = ["remembered"]

_Fitter = TypeVar("_Fitter", bound=Callable[..., object])

_KEPT = 64
_MOST_BYTES = 200_000
"""A call whose arrays are larger is not kept, so that all that is kept takes less than 100 MB."""


def remembered(make: _Fitter) -> _Fitter:
    """Make a function keep its last 64 results, and return one again for equal arguments.

    Arguments are arrays, `Sample`s and hashable settings. All callers share what it returns and must not change it.
    """
    kept: OrderedDict[Hashable, object] = OrderedDict()
    lock = threading.Lock()

    @wraps(make)
    def called(*given: object) -> object:
        values = [part for value in given for part in (_parts(value) if isinstance(value, Sample) else [value])]
        if sum(value.nbytes for value in values if isinstance(value, np.ndarray)) > _MOST_BYTES:
            return make(*given)
        key = tuple(map(_key, values))
        with lock:
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        made = make(*given)
        with lock:
            kept[key] = made
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return made

    return cast(_Fitter, called)


def _parts(sample: Sample) -> list[object]:
    return [getattr(sample, field.name) for field in fields(sample)]


def _key(value: Any) -> Hashable:
    if not isinstance(value, np.ndarray):
        return cast(Hashable, value)
    return value.shape, value.dtype.str, hashlib.sha256(value.tobytes()).digest()
