"""Words Ray's exceptions in one line: their texts have many, and the one that tells what happened is seldom the first."""

from __future__ import annotations

__all__ = ["why"]

_FIELDS = ("class_name:", "actor_id:", "pid:", "name:", "namespace:", "ip:")
_GUESSES = " There are some potential root causes"
_IN_CREATION = "The actor died because of an error raised in its creation task"


def why(error: BaseException) -> str:
    """Return the line that says how an actor's process ended, or what its creation raised; of other errors the first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if lines[0].startswith(_IN_CREATION):
        return lines[-1]
    told = [line for line in lines[1:] if not line.startswith(_FIELDS)] if "actor" in lines[0] else []
    return (told or lines)[0].partition(_GUESSES)[0]
