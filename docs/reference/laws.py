"""Every law: formula, inputs, coefficients, source, as the file of the law has them."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.laws import law_named, law_names
from analysis.laws.axes import AXIS_COLUMNS
from docs.reference.markdown import code, table

__all__ = ["text"]


def text() -> str:
    return "\n\n".join(_parts())


def _parts() -> Iterator[str]:
    for law in map(law_named, law_names()):
        yield f"## {code(law.name)}"
        yield f"```text\n{law.formula}\n```"
        inputs = ", ".join(f"{code(axis)} ({code(AXIS_COLUMNS[axis])} unless `--x` says otherwise)" for axis in law.axes)
        yield (
            f"Inputs: {inputs}. "
            + ("" if law.is_candidate else "It is fitted only where it is named. ")
            + f"Source: {law.citation}."
        )
        yield table(("coefficient", "meaning"), ((code(letter), law.meanings[letter]) for letter in law.coefficients))
