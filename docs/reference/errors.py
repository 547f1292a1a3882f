"""Every error: its code, the exit code of the command, the status over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

from api.problems import code_of, status_of
from docs.reference.docstrings import summary
from docs.reference.markdown import code, table
from scaling import errors

__all__ = ["text"]


def text() -> str:
    return table(("code", "exit code", "HTTP", "what it reports"), _rows())


def _rows() -> Iterator[tuple[str, ...]]:
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.ScalingError):
            yield code(code_of(kind)), str(kind.exit_code), str(int(status_of(kind))), summary(kind)
