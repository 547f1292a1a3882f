"""The command `scaling`. One file a command; what a command needs is imported inside its body, so that `--help` stays quick."""

import sys

from scaling.cli.error_lines import tell
from scaling.errors import ScalingError
from scaling.packages import check_packages

__all__ = ["main"]


def main() -> None:
    """Run a command, once the packages that Python finds are known to be ours: the commands import from `analysis` as soon as they are loaded."""
    try:
        check_packages("api")
    except ScalingError as error:
        tell(error)
        sys.exit(error.exit_code)
    from scaling.cli import app

    app.main()
