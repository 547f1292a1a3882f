"""The command `scaling`. One file a command; what a command needs is imported inside its body, so that `--help` stays quick."""

from scaling.cli.app import main

__all__ = ["main"]
