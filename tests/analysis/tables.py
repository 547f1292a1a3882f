"""Tables as strangers' programs write them: a common truth, and the commands that read them."""

from __future__ import annotations

import json

import numpy as np
import typer
from typer.testing import CliRunner

from scaling.cli.compare import compare_command
from scaling.cli.fit import fit_command

HOURS = np.geomspace(1, 100, 10)
LOSSES = 1.5 * HOURS**-0.2  # the truth of every table: exponent 0.2, unless a test says otherwise

_APP = typer.Typer()
_APP.command("fit")(fit_command)
_APP.command("compare")(compare_command)


def run(*arguments):
    """What a command prints; raises what it raises."""
    result = CliRunner().invoke(_APP, [str(word) for word in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def fitted(*arguments):
    """The power law that the command finds in a file, and what it says of the input."""
    body = json.loads(run("fit", "--law", "power", "--on", "all", "--json", "--data", *arguments))
    return body["fits"][0], body["input"]["notes"]


def write(tmp_path, text, name="runs.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


def exponent(fit):
    return fit["coefficients"]["a"]["value"]


def reasons(fit):
    return {entry["id"]: entry["reason"] for entry in fit["excluded"]}
