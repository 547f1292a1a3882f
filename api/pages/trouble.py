"""An answer for a page, or why there is none: what the runs do not allow is part of the page, a mistake in the link is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from scaling.errors import DataError, ScalingError, TooFewPoints, UnknownName, UsageError

__all__ = ["attempt"]

_Answer = TypeVar("_Answer")


def attempt(answer: Callable[[], _Answer]) -> tuple[_Answer | None, ScalingError | None]:
    """Return (answer, None), or (None, the reason).

    Raises `UnknownName`: a link to a column or law that does not exist is a mistake in the link.
    """
    try:
        return answer(), None
    except UnknownName:
        raise
    except (TooFewPoints, DataError, UsageError) as error:
        return None, error
