"""What a command says of an error: lines on stderr."""

from __future__ import annotations

import sys

from scaling.cli.printable import printable
from scaling.errors import ScalingError, SpecError
from scaling.refusals import why

__all__ = ["tell"]


def tell(error: ScalingError) -> None:
    """Print one line of fault, or one for each of several, one of what to do, and one of where it is explained."""
    faults = [str(fault) for fault in error.faults] if isinstance(error, SpecError) else [str(error)]
    for number, line in enumerate(faults):
        print(printable(line if number else f"error: {line}"), file=sys.stderr)
    for label, text in (("hint: ", error.hint), ("why:  ", why(error))):
        if text:
            print(printable(f"{label} {text}"), file=sys.stderr)
