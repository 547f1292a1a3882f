"""An experiments file whose runs a program trains: what it makes, and each fault with its line, all at once and before anything is run."""

import shutil
import sys

import pytest

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from orchestrator.program import command_of
from scaling.errors import SpecError
from tests.orchestrator import a_program

FILE = f"""\
name: mlp
trainer:
  command: [{sys.executable}, train.py, --width, "{{width}}", --epochs, "{{epochs}}", --lr, "{{learning_rate}}", --seed, "{{seed}}"]
models:
- {{name: w4, width: 4, params: 20, macs: 20}}
epochs: [2, 0.5]
learning_rate: 0.1
"""


@pytest.fixture
def folder(tmp_path):
    shutil.copy(a_program.__file__, tmp_path / "train.py")
    return tmp_path


def plan_of(folder, text=FILE):
    (folder / "study.yaml").write_text(text)
    return make_plan(*read_spec(folder / "study.yaml"))


def ids(plan):
    return [run.id for run in plan.runs]


def test_a_run_has_its_command_and_only_what_the_file_states(folder):
    whole, half = plan_of(folder).runs
    assert command_of(whole.config)[1:] == ["train.py", "--width", "4", "--epochs", "2", "--lr", "0.1", "--seed", "0"]
    assert command_of(half.config)[5] == "0.5"
    assert (whole.params, whole.examples_seen, whole.train_flops, whole.estimated_core_hours) == (20, 0, 0.0, 0.0)
    known = plan_of(folder, f"{FILE}dataset: {{name: mine, train_examples: 640}}\nbatch_size: 64\n").runs[0]
    assert (known.examples_seen, known.steps, known.train_flops) == (1280, 20, 6.0 * 20 * 1280)
    assert known.estimated_core_hours > 0


def test_ids_hold_what_changes_a_result_and_nothing_else(folder):
    before = ids(plan_of(folder))
    for change in (
        ("width: 4", "width: 8"),
        ("--lr", "--rate"),
        ("models:", "  data_version: two\nmodels:"),
        ("models:", "  metric: rmse\nmodels:"),
        ("models:", "  program_version: two\nmodels:"),
    ):
        assert not set(ids(plan_of(folder, FILE.replace(*change)))) & set(before), change
    for change in (
        ("params: 20, macs: 20", "params: 30"),
        ("models:", "  silence_seconds: 60\nmodels:"),
        ("models:", "  startup_seconds: 60\nmodels:"),
        ("name: mlp", "name: other"),
    ):
        changed = plan_of(folder, FILE.replace(*change))
        assert (ids(changed), changed.shared) == (before, plan_of(folder).shared), change
    (folder / "helper.py").write_text("")
    assert not set(ids(plan_of(folder))) & set(before), "a file of the program came"


def test_early_stop_is_a_matter_of_the_scheduler(folder):
    options = plan_of(folder, f"{FILE}early_stop: {{after: 0.5}}\nevaluate_at: [0.75]\n").options
    assert (options.evaluate_at, options.early_stop.after, options.pack) == ((0.5, 0.75), 0.5, 1)
    assert options.execution["folder"] == str(folder)


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ('"{width}"', '"{widht}"', 3, 'trainer.command[3]: {widht}: no model has this field; did you mean "width"?'),
        ('"{width}"', '"{batch_size}"', 3, "{batch_size}: the file has no batch_size"),
        ('"{width}"', '"{0}"', 3, "{0} names no field (a brace that is meant is written twice: {{)"),
        ('"{width}"', '"{"', 3, "Single '{' encountered"),
        ("train.py", "trian.py", 3, "there is no file 'trian.py' in the folder of the file"),
        ('"{width}"', '"{width:d}"', 3, "width has a format (write {width}, and let the program format it)"),
        ('"{width}"', '"{width!r}"', 3, "width has a format"),
        (sys.executable, "./train.py", 3, "there is no command './train.py' here that can be started"),
        ("models:", "  metric: core_hours\nmodels:", 4, "'core_hours' is a column of every run: call the metric otherwise"),
        ("models:", "  metric: flops\nmodels:", 4, "'flops' is another name of train_flops, a column of every run: call"),
        ("width: 4", "width: 4, core-hours: 3", 5, "'core-hours' is another name of core_hours, a column of every run: a field"),
        (sys.executable, "no-such-command", 3, "there is no command 'no-such-command' here"),
        ("params: 20", "params: -20", 5, "params is -20: it is a number above 0"),
        ("width: 4", "width: [4]", 5, "width is [4]: a field of a model is a text, a number, or true or false"),
        ("width: 4", "width: 4, seed: 3", 5, "'seed' is given to every run"),
        ("width: 4", "width: 4, val_loss: 3", 5, "'val_loss' is a column of every run"),
        ("learning_rate: 0.1", "learning_rate: 0.1\noptimizer: {momentum: 0.5}", 8, "'optimizer' is of our own trainer"),
        ("learning_rate: 0.1", "learning_rate: 0.1\noptimizer: {name: sgd}", 8, "optimizer: 'optimizer' is of our own trainer"),
        ("learning_rate: 0.1", "learning_rate: 0.1\naugment: {flip: 3}", 8, "'augment' is of our own trainer"),
        ("learning_rate: 0.1", "learning_rate: 0.1\nrecipes: {nfnet: {sam: 7}}", 8, "'recipes' is of our own trainer"),
        ("learning_rate: 0.1", "learning_rate: 0.1\nsimulate: fast", 8, "'simulate' is of our own trainer"),
        (
            '"{width}"',
            '"{params}"',
            3,
            "{params}: params and macs are no settings, and no part of the ids: give the program a field",
        ),
        ("learning_rate: 0.1", "learning_rate: 0.1\nresources: {cores: 2, hosts: 2}", 8, "a program runs on one host"),
        ("learning_rate: 0.1", "learning_rate: 0.1\ndataset: {name: x, examples: 3}", 8, "unknown key 'examples'"),
        ("learning_rate: 0.1", "learning_rate: 0.1\ndataset: {name: x, train_examples: 0}", 8, "0 is no number of examples"),
        ("models:", "  silence: 3\nmodels:", 4, "unknown key 'silence'"),
        (
            "models:",
            "  startup_seconds: 0\nmodels:",
            4,
            "trainer.startup_seconds: 0 is not allowed: it must be greater than or equal to 1",
        ),
        ("models:", "  startup_seconds: .inf\nmodels:", 4, "trainer.startup_seconds: inf: input should be a finite number"),
    ],
)
def test_a_fault_is_told_with_its_line(folder, old, new, line, told):
    assert old in FILE
    with pytest.raises(SpecError) as raised:
        plan_of(folder, FILE.replace(old, new, 1))
    [fault] = raised.value.faults
    assert fault.line == line
    assert told in str(fault)


TWO_MODELS = FILE.replace("\nepochs", "\n- {name: w8, width: 8}\nepochs")
PER_MODEL = TWO_MODELS.replace("learning_rate: 0.1", "learning_rate: {w4: 0.1, w8: 0.2}")


@pytest.mark.parametrize(
    ("file", "without", "told"),
    [
        (FILE, ', --epochs, "{epochs}"', "no word names {epochs}, of which the file has 2"),
        (f"{FILE}seeds: [0, 1, 2]\n", ', --seed, "{seed}"', "no word names {seed}, of which the file has 3"),
        (
            FILE.replace(": 0.1", ": {grid: [1, 2]}"),
            ', --lr, "{learning_rate}"',
            "no word names {learning_rate}, of which the file has 2",
        ),
        (
            FILE.replace(": 0.1", ": {at: {0.5: 1, 2: 2}}"),
            ', --lr, "{learning_rate}"',
            "no word names {learning_rate}, of which the file has 2",
        ),
        (PER_MODEL, ', --lr, "{learning_rate}"', "no word names {learning_rate}, of which the file has 2"),
        (
            FILE.replace(": 0.1", ": {policy: two-trial, start: 0.1}"),
            ', --lr, "{learning_rate}"',
            "no word names {learning_rate}, that the file searches for",
        ),
        (TWO_MODELS, ', --width, "{width}"', "its words are the same for w4 and w8: name {model}, or a field in which they differ"),
        (TWO_MODELS.replace("width: 8", "width: 4"), "", "its words are the same for w4 and w8"),
        (PER_MODEL, ', --width, "{width}"', "its words are the same for w4 and w8"),
    ],
)
def test_what_varies_and_is_in_no_word_of_the_command_is_refused(folder, file, without, told):
    """Else its runs are the same training under several ids, and seeds look as if they made no noise."""
    assert without in file
    with pytest.raises(SpecError) as raised:
        plan_of(folder, file.replace(without, ""))
    [fault] = raised.value.faults
    assert (fault.line, fault.path) == (3, "trainer.command")
    assert told in str(fault)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (FILE, ', --seed, "{seed}"', ""),
        (FILE, ', --lr, "{learning_rate}"', ""),
        (FILE.replace("[2, 0.5]", "[2]"), ', --epochs, "{epochs}"', ""),
        (FILE, ', --width, "{width}"', ""),
        (TWO_MODELS, '"{width}"', '"{model}"'),
        (PER_MODEL, '"{width}", --epochs', '"{model}-{{}}", --epochs'),
    ],
)
def test_what_has_one_value_needs_no_word(folder, file, old, new):
    assert old in file
    runs = plan_of(folder, file.replace(old, new)).runs
    assert len({tuple(command_of(run.config)) for run in runs}) == len(runs)


def test_our_own_trainer_still_needs_its_data_and_its_batch(folder):
    with pytest.raises(SpecError) as raised:
        plan_of(folder, "name: own\nmodels: [nano-F0]\nepochs: [1]\nlearning_rate: 1.6\n")
    assert [fault.message for fault in raised.value.faults] == ["key 'dataset' is missing", "key 'batch_size' is missing"]
