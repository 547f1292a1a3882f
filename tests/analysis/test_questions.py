"""What can be asked is told once: command line, links and forms have the same parameters."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from analysis.questions import (
    CompareQuestion,
    FitsQuestion,
    FrontierQuestion,
    LearningRateQuestion,
    OptimumQuestion,
    PlanQuestion,
    ViewQuestion,
)
from scaling.cli.app import app


@pytest.mark.parametrize(
    "kind", [CompareQuestion, FitsQuestion, FrontierQuestion, LearningRateQuestion, OptimumQuestion, PlanQuestion]
)
def test_a_command_has_an_option_for_each_parameter(kind):
    options = {flag: option for option in get_command(app).commands[kind.COMMAND[0]].params for flag in option.opts}
    assert kind.parameters()
    for name, each in kind.parameters().items():
        option = options[f"--{name.replace('_', '-')}"]
        if name not in ("experiment", "budget", "target"):  # which commands spell for themselves
            assert option.help.startswith(each.asked.help.split("`")[0])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (FrontierQuestion(), "scaling frontier --metric val_loss --x core_hours"),
        (
            ViewQuestion(law="power", on="all", clusters=("model",), experiment="digits", x_scale="linear"),
            "scaling fit --metric val_loss --x core_hours --law power --on all --clusters model --experiment digits",
        ),
        (CompareQuestion(by="model", a="F0", b="F1"), "scaling compare --by model --a F0 --b F1 --metric val_loss --x core_hours"),
        (LearningRateQuestion(at_params=1e9, at_epochs=4.0), "scaling lr --metric val_loss --at-params 1e+09 --at-epochs 4"),
        (ViewQuestion().fits(["auto", "power"]), "scaling fit --metric val_loss --x core_hours --law auto --law power"),
    ],
)
def test_a_question_is_written_as_a_command(question, words):
    assert " ".join(question.words()) == words


def test_a_view_asks_the_api_for_the_law_that_it_draws():
    question = ViewQuestion(law="power", on="all", where=("seed=0",))
    assert question.fits() == FitsQuestion(law=("power",), on="all", where=("seed=0",))
    assert ViewQuestion(law="none").fits().law == ViewQuestion().fits().law == ()
    assert question.plain == FrontierQuestion(where=("seed=0",))


def test_questions_load_nothing():
    heavy = {"numpy", "pandas", "pydantic", "fastapi"}
    code = f"import sys, analysis.questions; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
