"""Ray's token: whoever has it runs any code on the cluster as its user, so a cluster asks for it and others do not read it."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from scaling.errors import ClusterError

__all__ = ["check_token", "keep_token_private"]

_GIVEN_BY = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def keep_token_private() -> None:
    """Make the token of Ray's local clusters, `~/.ray/auth_token`, where there is none: Ray would let everyone read the file.

    A home that cannot be written to is left for Ray to complain about.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or any(os.environ.get(name) for name in _GIVEN_BY):
        return
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home
        file = Path.home() / ".ray" / "auth_token"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as opened:
            opened.write(secrets.token_hex(32))


def check_token(address: str) -> None:
    """Ask the head at `host:port` whether it lets this process in. Ray itself would ask for minutes.

    Raises `ClusterError` when it wants a token that this process does not have, and when what answers is no Ray.
    """
    import ray
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled; as `ray health-check` does

    try:
        ensure_token_if_auth_enabled(None, create_token_if_missing=False)
        GcsClient(address=address)
    except ray.exceptions.AuthenticationError as error:
        raise ClusterError(
            f"Ray at {address} wants a token, and {_what_is_here()}",
            hint="set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH, a file) to the cluster's; see `scaling docs clusters#security`",
        ) from error
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"what listens at {address} does not answer as the head of a Ray cluster ({str(error).splitlines()[0]})",
            hint="--address is that of `ray start --head`, by default port 6379; `--address local` needs no cluster",
        ) from error


def _what_is_here() -> str:
    """Say which part of a token this process lacks, as the end of a sentence."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return "RAY_AUTH_MODE=token is not set here"
    where = next((name for name in _GIVEN_BY if os.environ.get(name)), "~/.ray/auth_token")
    return f"the one of {where} is missing or another cluster's"
