"""Packages that only some need: which extra of the distribution brings each, and what is said where one is missing.

To add one: a line here, the extra in `pyproject.toml`, and `with needed_for(…)` around its import. `tests/test_packaging.py` asks for
all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scaling.errors import MissingExtra

__all__ = ["EXTRA_OF", "needed_for"]

EXTRA_OF = {
    "PIL": "images",
    "array_record": "array-record",
    "cv2": "images",
    "faiss": "dedup",
    "pdqhash": "dedup",
    "psycopg": "postgres",
    "pyarrow": "parquet",
    "simplejpeg": "images",
}
"""Module → the extra that brings it."""


@contextmanager
def needed_for(what: str) -> Iterator[None]:
    """Raise `MissingExtra` for an import inside the block of one of these packages that is not installed.

    what: what needs it, in the plural and with its verb: "photographs need".
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        raise MissingExtra(
            f"{what} the package {module!r}, which is not installed", hint=f'pip install "scaling[{EXTRA_OF[module]}]"'
        ) from error
