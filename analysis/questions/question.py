"""What a question about a table of runs is: a frozen dataclass whose fields say of themselves how they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, get_args, get_type_hints

_Asking = TypeVar("_Asking", bound="Question")

WHICH_RUNS = ("where", "price", "convert", "cell", "clusters", "experiment")
"""The parameters that say which runs a question is about and what counts as one of them: the same for all questions."""


@dataclass(frozen=True)
class Asked:
    """Describes one parameter.

    help: a sentence or two. label: of its field in a form; it may name another parameter, `{x}`. any: what a form calls "not chosen".
    offered: what a form offers, (value, text), where that is always the same; else the page finds it.
    least, above, most: its limits; above: it is larger than that.
    is_column: whether it names a column, or several with commas between them.
    told: whether a command names it at its default, too. is_option: whether the command has it.
    shape: what its option takes, where its name does not say.
    more: what a command adds, which has no form that offers choices.
    """

    help: str
    label: str = ""
    any: str | None = None
    offered: tuple[str | tuple[str, str], ...] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    is_column: bool = False
    told: bool = False
    is_option: bool = True
    shape: str | None = None
    more: str = ""


class Parameter(NamedTuple):
    """Holds one field of a question: its name, its type without the `Asked`, that, and its default."""

    name: str
    type: Any
    asked: Asked
    default: Any

    @property
    def is_text(self) -> bool:
        """Say whether it takes any text."""
        return str in (self.type, *get_args(self.type))


@dataclass(frozen=True)
class Question:
    """Describes a question about a table of runs, with a default for every parameter.

    COMMAND: the words of the command that answers it.
    FORM: the parameters that a form asks for, in order; a command names them in this order, too.
    """

    COMMAND: ClassVar[tuple[str, ...]] = ()
    FORM: ClassVar[tuple[str, ...]] = ("experiment",)

    experiment: Annotated[str | None, Asked("Only the runs of this experiment.", "Experiment", any="all")] = None

    @classmethod
    @cache
    def parameters(cls) -> dict[str, Parameter]:
        """List the parameters of the question, by name."""
        hints = {name: get_args(hint) for name, hint in get_type_hints(cls, include_extras=True).items()}
        return {each.name: Parameter(each.name, hints[each.name][0], hints[each.name][1], each.default) for each in fields(cls)}

    @classmethod
    def in_order(cls) -> list[str]:
        """List the parameters of the question as a command has them: those of the form first, those that say which runs last."""
        names = dict.fromkeys((*cls.FORM, *cls.parameters()))
        return sorted(names, key=lambda name: WHICH_RUNS.index(name) if name in WHICH_RUNS else -1)

    @property
    def changed(self) -> dict[str, Any]:
        """Return the parameters that are not at their default."""
        return {name: value for name, each in self.parameters().items() if (value := getattr(self, name)) != each.default}

    @property
    def settings(self) -> dict[str, Any]:
        """Return the parameters that the function of the analysis takes: all but those that say which runs."""
        return {name: getattr(self, name) for name in self.parameters() if name not in WHICH_RUNS}

    def check(self) -> None:
        """Check what can be told of the question without the runs. Raises what its answer would raise."""

    def label(self, name: str) -> str:
        """Name a parameter in a form."""
        return self.parameters()[name].asked.label.format(**vars(self))

    def narrowed(self, kind: type[_Asking]) -> _Asking:
        """Make a question of fewer parameters about the same runs."""
        return kind(**{name: getattr(self, name) for name in kind.parameters()})

    def words(self, **more: object) -> list[str]:
        """Write the command that answers the question, word by word, without the store.

        more: parameters for which it shall have other values.
        """
        words = ["scaling", *self.COMMAND]
        for name in self.in_order():
            each, value = self.parameters()[name], more.get(name, getattr(self, name))
            if each.asked.is_option and value is not None and (value != each.default or each.asked.told or name in more):
                values = value if isinstance(value, tuple) else (value,)
                words += [
                    word
                    for one in values
                    for word in (f"--{name.replace('_', '-')}", f"{one:g}" if isinstance(one, float) else str(one))
                ]
        return words
