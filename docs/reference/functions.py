"""Every name of `import scaling`: its signature and its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import scaling
from docs.reference.docstrings import first_sentence, summary
from docs.reference.markdown import code, link, table

__all__ = ["text"]

_WIDEST = 100


class _Raw:
    """Shows an annotation as it is written."""

    def __init__(self, annotation: object) -> None:
        self.text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self.text


def text() -> str:
    headings = [code(f"scaling.{name}") for name in scaling.__all__]
    listed = (
        (link(heading, headings[:place]), first_sentence(summary(getattr(scaling, name))))
        for place, (heading, name) in enumerate(zip(headings, scaling.__all__, strict=True))
    )
    return "\n\n".join([table(("name", "what it is for"), listed), *_parts()])


def _parts() -> Iterator[str]:
    for name in scaling.__all__:
        thing = getattr(scaling, name)
        yield f"## `scaling.{name}`"
        yield f"```python\n{_signature(name, thing)}\n```"
        first, _, rest = inspect.cleandoc(thing.__doc__).partition("\n\n")
        yield " ".join(first.split())
        if rest:
            yield f"```text\n{rest}\n```"


def _signature(name: str, thing: object) -> str:
    """Write a function's parameters, in a line each where one does not hold them; of a class that nobody calls the name alone."""
    if isinstance(thing, type) and not hasattr(thing, "__dataclass_fields__"):
        return f"class {name}"
    made = inspect.signature(thing)  # type: ignore[arg-type]
    given = [_raw(each) for each in made.parameters.values()]
    if isinstance(thing, type):
        return f"class {name}:\n" + "\n".join(f"    {each}" for each in given)
    returns = "" if made.return_annotation is made.empty else f" -> {_Raw(made.return_annotation)!r}"
    stars = next((place for place, each in enumerate(made.parameters.values()) if each.kind is each.KEYWORD_ONLY), None)
    shown = list(map(str, given))
    if stars is not None:
        shown.insert(stars, "*")
    line = f"{name}({', '.join(shown)}){returns}"
    return line if len(line) <= _WIDEST else f"{name}(\n" + "".join(f"    {each},\n" for each in shown) + f"){returns}"


def _raw(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter that is shown as it is written; a default that has no literal is `...`."""
    if parameter.default is not parameter.empty and repr(parameter.default).startswith("<"):
        parameter = parameter.replace(default=_Raw("..."))
    elif isinstance(parameter.default, str):
        parameter = parameter.replace(default=_Raw(f'"{parameter.default}"'))  # as Ruff writes it, which formats the pages too
    if parameter.annotation is parameter.empty:
        return parameter
    return parameter.replace(annotation=_Raw(parameter.annotation))
