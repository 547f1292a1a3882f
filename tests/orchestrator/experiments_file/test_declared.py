"""What users' families say of their models is checked when a file is read, with the place in the file."""

from functools import partial
from itertools import count
from pathlib import Path

import jax.numpy as jnp
import pytest
from typer.testing import CliRunner

from orchestrator.experiments_file import declared, read_spec
from orchestrator.planning.plan import make_plan
from scaling.cli.app import app
from scaling.errors import SpecError, UsageError
from tests.trainer import strangers_models
from trainer.models import counting, family
from trainer.models.counted import counted

FILE = """\
name: mine
dataset: {name: digits}
models:
%s
epochs: [1]
batch_size: 64
learning_rate: 0.1
"""


def file_of(tmp_path, *factories):
    models = [f'  - {{name: "{name}", source: "tests.trainer.strangers_models:{name}"}}' for name in factories]
    path = tmp_path / "e.yaml"
    path.write_text(FILE % "\n".join(models))
    return path


def test_what_is_not_so_is_a_fault_with_its_line_and_what_cannot_be_built_here_is_not(tmp_path):
    with pytest.raises(SpecError) as found:
        read_spec(file_of(tmp_path, "vit", "dying", "vit_without_attention", "raising"))
    on = "on images of 8 × 8 × 1 with 10 classes"
    assert [(fault.line, fault.message.split(", and ")) for fault in found.value.faults] == [
        (6, [f"vit_without_attention has 26,474 parameters {on}", "`params` of its family says 26,475"]),
        (
            6,
            [
                f"vit_without_attention takes 428,352 multiply–accumulates an image {on} (convolutions and matrix products of its forward pass)",
                "`macs` of its family says 395,584",
            ],
        ),
    ]


def test_families_that_say_what_is_so_go_on(tmp_path):
    """One takes the image's shape, one the channels, as families did before; NFNets are counted without the zeros between groups. One's numbers are NumPy's."""
    runs = make_plan(*read_spec(file_of(tmp_path, "vit", "wrapped", "of_other_numbers"))).runs
    assert [run.params for run in runs] == [
        26_474,
        family("nfnet").params("nano-F1", {}, num_classes=10, image_shape=(8, 8, 1)),
        650,
    ]
    assert {type(run.params) for run in runs} == {int}


def test_params_take_what_they_name():
    """A family of before names `channels`."""
    vit, before = family("tests.trainer.strangers_models:vit"), family("tests.trainer.strangers_models:vit_without_attention")
    assert vit.params("one", {}, num_classes=10, image_shape=(16, 16, 1)) == 26_474 + 48 * 32
    assert before.params("one", {}, num_classes=10, image_shape=(16, 16, 1)) == 26_475


def test_what_a_family_does_not_state_is_counted_once_and_said_so(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        counting, "_counted_elsewhere", lambda models, do=counting._counted_elsewhere: asked.append(models) or do(models)
    )
    path = file_of(tmp_path, "uncounted", "vit")
    plan = make_plan(*read_spec(path))
    assert [run.params for run in plan.runs] == [26_474, 26_474]
    assert plan.runs[0].train_flops == plan.runs[1].train_flops
    assert plan.counted_models == ["uncounted"]
    assert len(asked) == 1, "one process for all models of the file"
    shown = CliRunner().invoke(app, ["submit", str(path), "--dry-run", "--home", str(tmp_path), "--db", str(tmp_path / "x.db")])
    assert "parameters and FLOPs of uncounted are counted from the module" in " ".join(shown.stdout.split())
    options = ["--source", "tests.trainer.strangers_models:uncounted", "--px", "8", "--channels", "1", "--classes", "10"]
    card = CliRunner().invoke(app, ["model", "uncounted", *options]).stdout
    assert "26,474 (counted from the module)" in card
    assert len(asked) == 2, "the second reading, and none for the card"


def test_a_family_with_nan_at_its_start_is_one_line_each(tmp_path):
    """NaN is found in its initial values, and in the loss of its first step."""
    source = 'source: "tests.trainer.strangers_models:not_finite"'
    path = tmp_path / "e.yaml"
    path.write_text(
        FILE
        % f"  - {{name: one, {source}, initial: .nan}}\n  - {{name: two, {source}}}\n  - {{name: three, {source}, initial: 1.0}}"
    )
    with pytest.raises(SpecError) as found:
        read_spec(path)
    said = [(fault.line, fault.message.partition(" (")[0]) for fault in found.value.faults]
    assert said == [
        (4, "NotFinite starts with NaN or infinity in scale"),
        (5, "NotFinite gives logits with NaN or infinity before its first step, so its first loss is not finite"),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ("batch_size: 64", "batch_size: 1"),
            "normalized has BatchNorm, and a batch of 1 has no statistics: make batch_size 2 or more",
        ),
        (("batch_size: 64", "batch_size: 64\nexecution: {micro_batch: 8}"), "a micro-batch would have other statistics"),
        (("batch_size: 64", "batch_size: 64\nexecution: {on_out_of_memory: halve}"), "half a batch would have other statistics"),
    ],
)
def test_what_does_not_fit_state_over_batches_is_one_line(tmp_path, monkeypatch, changes, said):
    """A user's family, by what was counted, and none of a family without state."""
    counts = [{"params": 130, "macs": 4688, "state": ["batch_stats"]}, {"params": 26_474, "macs": 428_352, "state": []}]
    monkeypatch.setattr(counting, "_counted_elsewhere", lambda models: counts)
    path = file_of(tmp_path, "normalized", "vit")
    path.write_text(path.read_text().replace(*changes))
    with pytest.raises(SpecError) as found:
        read_spec(path)
    (fault,) = found.value.faults
    assert (fault.line, fault.path) == (4, "models[0]")
    assert said in fault.message


def test_what_cannot_be_counted_here_is_one_line(tmp_path):
    with pytest.raises(SpecError) as found:
        read_spec(file_of(tmp_path, "uncounted_elsewhere"))
    (fault,) = found.value.faults
    assert (fault.line, fault.path) == (4, "models[0]")
    assert "cannot be built here, so its costs cannot be counted: RuntimeError: no licence for this machine" in fault.message


MINE = """\
import math
import sys
from dataclasses import replace

from tests.trainer import strangers_models as others

perceptron = others.perceptron


class Silent(Exception):
    def __str__(self):
        raise self


class Loud:
    def __repr__(self):
        raise KeyError("repr")


def fails(error):
    def function(*model, **shape):
        raise error

    return function


def gives(value):
    return lambda *model, **shape: value
"""

RAISED = {
    "KeyError('width')": "KeyError: 'width'",
    "ValueError('bad\\nwidth')": "ValueError: bad width",
    "ZeroDivisionError()": "ZeroDivisionError",
    "AttributeError('no foo')": "AttributeError: no foo",
    "RuntimeError('none')": "RuntimeError: none",
    "AssertionError()": "AssertionError",
    "StopIteration(3)": "StopIteration: 3",
    "RecursionError('deep')": "RecursionError: deep",
    "SystemExit(2)": "SystemExit: 2",
    "Silent()": "Silent",
}


NUMBERS = count()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes families to a module of this test alone, and reads a file whose first model is of the one named; none is built."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def fault_of(code, called="made", *, counts=None):
        module = f"mine{next(NUMBERS)}"
        (tmp_path / f"{module}.py").write_text(MINE + code)
        Path("e.yaml").write_text(FILE % f'  - {{name: one, source: "{module}:{called}"}}')
        monkeypatch.setattr(declared, "count_all", lambda asked: [counts or {"unknown": "not built here"} for _ in asked])
        with pytest.raises(SpecError) as found:
            read_spec("e.yaml")
        (fault,) = found.value.faults
        assert (fault.line, fault.path) == (4, "models[0]")
        assert "\n" not in fault.message
        return fault.message.replace(module, "mine"), found.value

    return fault_of


@pytest.mark.parametrize("function", ["params", "macs", "check", "total_stride"])
@pytest.mark.parametrize("error", RAISED)
def test_whatever_a_family_raises_is_one_line_with_its_place(mine, function, error):
    message, refused = mine(f"made = lambda: perceptron({function}=fails({error}))\n")
    line = 1 + MINE.splitlines().index("        raise error")
    assert message == f"one: `{function}` of its family raised {RAISED[error]} (mine.py:{line})"
    assert type(refused.__cause__.__cause__).__name__ == RAISED[error].partition(":")[0], "--debug shows it"


@pytest.mark.parametrize("error", RAISED)
def test_whatever_a_factory_or_its_module_raises_is_one_line_with_its_place(mine, error):
    message, _ = mine(f"made = fails({error})\n")
    assert message.startswith("model family 'mine:made' raised " + RAISED[error] + " (mine.py:")
    message, _ = mine(f"raise {error}\n")
    line = len(MINE.splitlines()) + 1
    assert message == f"model family 'mine:made' cannot be imported: {RAISED[error]} (mine.py:{line})"


@pytest.mark.parametrize(
    ("code", "called", "said"),
    [
        ("made = 7\n", "made", "raised TypeError: 'int' object is not callable"),
        ("made = lambda: 7\n", "made", "gave a int"),
        ("def made(:\n", "made", "cannot be imported: SyntaxError: invalid syntax"),
        ("made = lambda: perceptron(params=7)\n", "made", "raised TypeError: 7 is not a callable object"),
        ("", "other", "cannot be imported: AttributeError: module 'mine' has no attribute 'other'"),
        ("", "", "cannot be imported: AttributeError"),
    ],
)
def test_what_is_no_family_is_one_line(mine, code, called, said):
    assert said in mine(code, called)[0]


@pytest.mark.parametrize("source", [":made", ".relative:made", "no such.module:made", "no_such_module:made"])
def test_a_source_that_names_no_module_is_one_line(tmp_path, source):
    path = tmp_path / "e.yaml"
    path.write_text(FILE % f'  - {{name: one, source: "{source}"}}')
    with pytest.raises(SpecError, match=r"e.yaml:4: models\[0\]: model family '.*' cannot be imported: "):
        read_spec(path)


NO_NUMBERS = ["'650'", "None", "math.nan", "math.inf", "-math.inf", "-1", "True", "[650]", "1j", "Loud()", "b'650'"]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_refused_whether_or_not_it_can_be_compared(mine, value):
    for function, least in (("params", 1), ("macs", 0)):
        for counts in (None, {"params": 650, "macs": 640}, {"params": 650, "macs": None}):
            message, _ = mine(f"made = lambda: perceptron({function}=gives({value}))\n", counts=counts)
            assert message.startswith(f"one: `{function}` of its family gave ")
            assert message.endswith(f"which is no whole number of {least} or more")


def test_models_without_work_or_parameters_are_refused(mine):
    assert "0, which is no whole number of 1 or more" in mine("made = lambda: perceptron(params=gives(0))\n")[0]
    assert "no core-hours" in mine("made = lambda: perceptron(macs=gives(0))\n")[0]
    message, _ = mine("made = lambda: perceptron(macs=gives(0))\n", counts={"params": 650, "macs": 640})
    assert message.startswith("one takes 640 ")


def test_a_model_that_its_family_does_not_know_is_told_once(mine):
    """Its counts would fail too."""
    code = (
        "from scaling.errors import UnknownName\n\n\ndef check(name, options):\n    raise UnknownName('model', name, ['two'])\n\n\n"
    )
    assert mine(code + "made = lambda: perceptron(check=check, params=fails(KeyError('one')))\n")[0] == "unknown model 'one'"


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (strangers_models.DropPath, ["in training: InvalidRngError", '"drop_path"']),
        (strangers_models.Reshaped, ["its collection seen another form in training"]),
        (partial(strangers_models.DropPath, normalizes=False), ["in training: InvalidRngError", '"drop_path"']),
        (strangers_models.AsksForTrain, ["to start: TypeError", "argument: 'train'"]),
        (strangers_models.GivesTwo, ["gives a tuple for one image"]),
        (strangers_models.Mistaken, ["in training: ValueError", "(1, 3), (4,)", "strangers_models.py:"]),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(module, said):
    """What the trainer calls is traced as it calls it."""
    with pytest.raises(UsageError) as refused:
        counted(module(3, jnp.float32), image_shape=(4, 4, 1))
    for part in said:
        assert part in str(refused.value)


def test_what_another_machine_may_have_is_not_refused():
    with pytest.raises(RuntimeError, match="cuDNN"):
        counted(strangers_models.OfAnotherMachine(3, jnp.float32), image_shape=(4, 4, 1))


def test_a_model_may_be_given_by_numbers_alone(tmp_path):
    """Its options name it, the same in whatever order they are written."""
    path = tmp_path / "e.yaml"
    numbers = [
        "family: resnet, width: [4, 8], depth: [1, 2], stem: small",
        "stem: small, depth: [1, 2], width: [4, 8], family: resnet",
    ]
    ids = set()
    for written in numbers:
        path.write_text(FILE % f"  - {{{written}}}")
        (run,) = make_plan(*read_spec(path)).runs
        assert run.config.model.name == "resnet-depth=1x2-stem=small-width=4x8"
        ids.add(run.id)
    assert len(ids) == 1
