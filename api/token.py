"""The token that lets a client change runs: how it is read from its file."""

from __future__ import annotations

from pathlib import Path

from scaling.errors import UsageError

__all__ = ["read_token"]

_LEAST, _MOST = 16, 1000
_MAKE = "(umask 077; openssl rand -hex 32 > FILE) makes one"


def read_token(path: Path) -> str:
    """Return the token in a file, without the line's end. Raises `UsageError` for one that is missing, short, or cannot stand in a header."""
    try:
        text = path.read_bytes()[: _MOST + 2].decode("ascii").strip()
    except OSError as error:
        raise UsageError(f"--token-file {path}: {error.strerror or error}", hint=_MAKE) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--token-file {path}: a token is of ASCII characters", hint=_MAKE) from error
    if not _LEAST <= len(text) <= _MOST:
        raise UsageError(f"--token-file {path}: a token has {_LEAST} to {_MOST} characters, this one has {len(text)}", hint=_MAKE)
    if not text.isprintable() or " " in text:
        raise UsageError(f"--token-file {path}: a token is one word on one line", hint=_MAKE)
    return text
