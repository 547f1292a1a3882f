"""What users' families say of their models is checked when a file is read, with the place in the file."""

import pytest

from orchestrator.plan import make_plan
from orchestrator.spec import read_spec
from scaling.errors import SpecError, UsageError
from trainer.models import family

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
        read_spec(file_of(tmp_path, "vit", "dying", "vit_without_attention", "raising", "normalized"))
    on = "on images of 8 × 8 × 1 with 10 classes"
    assert [(fault.line, fault.message.split(", and ")) for fault in found.value.faults[:2]] == [
        (6, [f"vit_without_attention has 26,474 parameters {on}", "`params` of its family says 26,475"]),
        (
            6,
            [
                f"vit_without_attention takes 428,352 multiply–accumulates an image {on} (convolutions and matrix products of its forward pass)",
                "`macs` of its family says 395,584",
            ],
        ),
    ]
    (state,) = found.value.faults[2:]
    assert state.line == 8
    assert "batch_stats" in state.message
    assert "LayerNorm" in state.message


def test_families_that_say_what_is_so_go_on(tmp_path):
    """One takes the image's shape, one the channels, as families did before; NFNets are counted without the zeros between groups."""
    plan = make_plan(*read_spec(file_of(tmp_path, "vit", "wrapped")))
    assert [run.params for run in plan.runs] == [26_474, family("nfnet").params("nano-F1", {}, num_classes=10, channels=1)]


def test_params_take_what_they_name():
    vit, nano = family("tests.trainer.strangers_models:vit"), family("nfnet")
    assert vit.params("one", {}, num_classes=10, image_shape=(16, 16, 1)) == 26_474 + 48 * 32
    assert nano.params("nano-F0", {}, num_classes=10, image_shape=(8, 8, 3)) == nano.params(
        "nano-F0", {}, num_classes=10, channels=3
    )
    with pytest.raises(UsageError, match="depend on the size of its images"):
        vit.params("one", {}, num_classes=10, channels=1)
