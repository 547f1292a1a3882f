"""An experiments file that is wrong gets every fault at once, with file, line and nearest name."""

from dataclasses import fields

import pytest

from orchestrator.experiments_file import read_spec
from orchestrator.experiments_file.fields import ExecutionField
from orchestrator.planning.plan import make_plan
from orchestrator.resources import Resources, RunOptions
from scaling.errors import DataNotFound, SpecError
from trainer import Execution, ScheduleConfig

GOOD = """\
name: tiny
dataset: {name: digits}
models: [nano-F0, nano-F1]
epochs: [0.5, 1]
batch_size: 64
learning_rate: {nano-F0: {grid: [0.8, 1.6], epochs: [1], otherwise: 1.6}, nano-F1: 8e-1}
seeds: [0, 1]
"""


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return read_spec(path)

    return write_and_read


@pytest.fixture
def faults(read):
    def of(text):
        with pytest.raises(SpecError) as caught:
            read(text)
        return [str(fault).split("grid.yaml:")[1] for fault in caught.value.faults]

    return of


def test_a_good_file_is_the_grid_it_says(read):
    plan = make_plan(*read(GOOD))
    cells = [(run.config.model.name, run.config.schedule.epochs, run.config.learning_rate, run.config.seed) for run in plan.runs]
    assert cells == [
        (model, epochs, rate, seed)
        for model, epochs, rates in (
            ("nano-F0", 0.5, [1.6]),
            ("nano-F0", 1.0, [0.8, 1.6]),
            ("nano-F1", 0.5, [0.8]),
            ("nano-F1", 1.0, [0.8]),
        )
        for rate in rates
        for seed in (0, 1)
    ]
    assert len({run.id for run in plan.runs}) == len(plan.runs)
    by_budget = make_plan(*read(GOOD.replace("{grid: [0.8, 1.6], epochs: [1], otherwise: 1.6}", "{at: {0.5: 1.6, 1: [0.8, 1.6]}}")))
    assert [run.id for run in by_budget.runs] == [run.id for run in plan.runs]
    half = plan.runs[0]
    assert (half.examples_seen, half.steps, half.unique_examples) == (674, 11, 674)
    assert half.train_flops == pytest.approx(plan.runs[2].train_flops * 674 / 1347)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("batch_size", "batchsize", "5: batchsize: unknown key 'batchsize'; did you mean \"batch_size\"?"),
        ("nano-F1]", "nano-F11]", "3: models[1]: unknown model 'nano-F11'; did you mean \"nano-F1\"?"),
        (
            "nano-F1]",
            "{name: nano-F1, depth: [1.5, 1]}]",
            "3: models[1]: nano-F1: depth (1.5, 1) is not made of whole numbers above 0",
        ),
        (
            "nano-F1]",
            "{name: nano-F1, group_width: 0}]",
            "3: models[1]: nano-F1: group_width 0 is not made of whole numbers above 0",
        ),
        (
            "nano-F1]",
            "{name: nano-F1, strides: [1, 0]}]",
            "3: models[1]: nano-F1: strides (1, 0) is not made of whole numbers above 0",
        ),
        ("nano-F1]", "{name: nano-F1, se_ratio: -1}]", "3: models[1]: nano-F1: se_ratio -1 is not above 0"),
        ("seeds: [0, 1]", "augment: {crop_min_area: 0.5}", "7: augment: crop_min_area is of crop, which is off"),
        (
            "seeds: [0, 1]",
            "augment: {randaugment_magnitude: 3}",
            "7: augment: randaugment_magnitude is of randaugment_layers, which is off",
        ),
        ("seeds: [0, 1]", "optimizer: {clip: null, clip_eps: 0.01}", "7: optimizer: clip_eps is of clip, which is off"),
        ("name: digits", "name: digts", "2: dataset.name: unknown data set 'digts'; did you mean \"digits\"?"),
        ("{name: digits}", "{name: digits, validation_examples: many}", "2: dataset: validation_examples: 'many' of 1797 images"),
        ("{name: digits}", "{name: digits, validation: 3}", "2: dataset.validation: unknown key 'validation'"),
        ("[0.5, 1]", "[0.5, -1]", "4: epochs[1]: -1 is not allowed: it must be greater than 0"),
        ("[0.5, 1]", "[0, 1]", "4: epochs[0]: 0 is not allowed: it must be greater than 0"),
        ("[0.5, 1]", "[1, 1]", "4: epochs[1]: 1 is given twice"),
        ("[0.5, 1]", "[1 day, 1]", "4: epochs[0]: '1 day': input should be a valid number"),
        ("[0.5, 1]", "[0.0001, 1]", "4: epochs[0]: 0.0001 epochs of 1347 examples is less than one example"),
        ("[0.5, 1]", "[]", "4: epochs: the list is empty: the grid would have no runs"),
        ("[0.5, 1]", "[.inf, 1]", "4: epochs[0]: inf: input should be a finite number"),
        (
            "batch_size: 64",
            "batch_size: 1348",
            "5: batch_size: a batch of 1348 is larger than the training split of digits (1347 examples)",
        ),
        ("batch_size: 64", "batch_size: 64.5", "5: batch_size: 64.5: input should be a valid integer"),
        ("nano-F1: 8e-1", "nano-F3: 8e-1", "6: learning_rate.nano-F3: unknown model 'nano-F3'"),
        ("grid: [0.8, 1.6]", "grid: [0.8, 0.8]", "6: learning_rate.nano-F0.grid: 0.8 is given twice"),
        ("epochs: [1], o", "epochs: [2], o", "6: learning_rate.nano-F0.epochs: 2 is not one of the epoch budgets 0.5, 1"),
        (", otherwise: 1.6", "", "6: learning_rate.nano-F0: `epochs` and `otherwise` go together"),
        ("nano-F1: 8e-1", "nano-F1: {at: {0.5: 8e-1}}", "6: learning_rate.nano-F1.at: no learning rate for 1 epochs"),
        (
            "nano-F1: 8e-1",
            "nano-F1: {at: {0.5: 1, 1: 1, 4: 1}}",
            "6: learning_rate.nano-F1.at: 4 is not one of the epoch budgets 0.5, 1",
        ),
        ("nano-F1: 8e-1", "nano-F1: {at: {0.5: [1, 1], 1: 1}}", "6: learning_rate.nano-F1.at: a rate is given twice at 0.5 epochs"),
        (
            "nano-F1: 8e-1",
            "nano-F1: {at: {0.5: -1, 1: 1}}",
            "6: learning_rate.nano-F1.at.0.5[0]: -1 is not allowed: it must be greater than 0",
        ),
        (
            "nano-F1: 8e-1",
            "nano-F1: {at: {0.5: 1, 1: 1}, grid: [1]}",
            "6: learning_rate.nano-F1: give one of `grid: […]`, `at: {epochs: rate}` and",
        ),
        ("seeds: [0, 1]", "seeds: []", "7: seeds: the list is empty"),
        (
            "seeds: [0, 1]",
            "resources: {accelerator: TPU4}",
            "7: resources.accelerator: unknown accelerator 'TPU4'; did you mean \"TPU-v4\"?",
        ),
        ("seeds: [0, 1]", "resources: {cores: 1, core_hours: 2}", "7: resources.core_hours: unknown key 'core_hours'"),
        ("seeds: [0, 1]", "resources: {cores: 1, chips: 1}", "7: resources: give one of `cores`, `chips` and `topology`"),
        ("seeds: [0, 1]", "schedule: {name: cosin}", "7: schedule.name: unknown value 'cosin'; did you mean \"cosine\"?"),
        (
            "seeds: [0, 1]",
            "schedule: {decay_fraction: 0.1}",
            "7: schedule.decay_fraction: decay_fraction is of rsqrt and warmup-stable-decay; cosine has none",
        ),
        (
            "seeds: [0, 1]",
            "schedule: {warmup_epochs: 0.5}",
            "4: epochs[0]: warm-up of 0.5 epochs does not fit into a budget of 0.5",
        ),
        (
            "seeds: [0, 1]",
            "schedule: {name: warmup-stable-decay, warmup_epochs: 0.2, decay_fraction: 0.8}",
            "4: epochs[0]: warm-up of 0.2 epochs and 0.4 epochs of decay do not fit into a budget of 0.5",
        ),
        ("seeds: [0, 1]", "ema: 1", "7: ema: 1 is not allowed: it must be less than 1"),
        ("seeds: [0, 1]", "evaluate_at: [0.5, 1]", "7: evaluate_at[1]: 1 is not allowed: it must be less than 1"),
        ("seeds: [0, 1]", "evaluate_at: [0.5, 0.5]", "7: evaluate_at[1]: 0.5 is given twice"),
        (
            "seeds: [0, 1]",
            "execution: {microbatch: 8}",
            "7: execution.microbatch: unknown key 'microbatch'; did you mean \"micro_batch\"?",
        ),
        (
            "seeds: [0, 1]",
            "execution: {micro_batch: 65}",
            "7: execution.micro_batch: a micro-batch of 65 is larger than the batch of 64",
        ),
        ("seeds: [0, 1]", "execution: {remat: blok}", "7: execution.remat: unknown value 'blok'; did you mean \"block\"?"),
        (
            "seeds: [0, 1]",
            "execution: {on_out_of_memory: half}",
            "7: execution.on_out_of_memory: unknown value 'half'; did you mean \"halve\"?",
        ),
        ("seeds: [0, 1]", "execution: {scan: 2}", "7: execution.scan: 2: input should be a valid boolean"),
        ("nano-F1]", "{name: nano-F1, dropuot: 0.1}]", "3: models[1]: unknown model option 'dropuot'; did you mean \"dropout\"?"),
        ("nano-F1]", "{name: nano-F1, stochastic_depth: 1.5}]", "3: models[1]: nano-F1: stochastic_depth: 1.5 is not a rate"),
        ("seeds: [0, 1]", "name: other", "7: key 'name' is given twice"),
        ("name: tiny", "name: a name", "1: name: 'a name'"),
        ("name: tiny\n", "", "1: key 'name' is missing"),
    ],
)
def test_a_fault_names_line_path_and_remedy(faults, old, new, fault):
    found = faults(GOOD.replace(old, new, 1))
    assert any(line.startswith(fault) for line in found), found


def test_all_faults_are_told_at_once(faults):
    assert len(faults(GOOD.replace("[0.5, 1]", "[0, -1]").replace("64", "-2").replace("seeds", "seed"))) == 4


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("epochs: [1,\nmodels", "2: not YAML"),
        ("- 1\n- 2\n", "1: not a mapping"),
        ("", " not YAML"),
        ("\x00\x01", " not YAML"),
    ],
)
def test_a_file_that_is_not_an_experiments_file(faults, text, fault):
    assert any(fault.strip() in line or "not a mapping" in line for line in faults(text))


def test_no_such_file(tmp_path):
    with pytest.raises(DataNotFound, match="there is no file"):
        read_spec(tmp_path / "nowhere.yaml")


def test_a_missing_data_directory_says_what_to_do(faults, tmp_path):
    found = faults(GOOD.replace("{name: digits}", f"{{name: fashion_mnist, path: {tmp_path}/none}}"))
    assert found[0].startswith("2: dataset: data set fashion_mnist: no IDX files in")
    assert "apt install dataset-fashion-mnist" in found[0]


def test_a_model_by_its_dimensions(read):
    text = GOOD.replace("nano-F1]", "{name: wide, width: [16, 16], depth: [1, 1], group_width: 8, stem: small}]").replace(
        "nano-F1:", "wide:"
    )
    plan = make_plan(*read(text))
    assert plan.runs[-1].config.model.family == "nfnet"
    assert plan.runs[-1].params > plan.runs[0].params


def test_how_a_run_is_computed_is_no_part_of_its_id(read):
    plain = make_plan(*read(GOOD))
    text = GOOD + "execution: {micro_batch: 16, scan: false, on_out_of_memory: halve}\nevaluate_at: [0.5, 0.25]\n"
    plan = make_plan(*read(text))
    assert [run.id for run in plan.runs] == [run.id for run in plain.runs]
    assert plan.shared == plain.shared
    assert plan.resources == plain.resources == Resources("cpu", 1)
    assert plain.options == RunOptions()
    execution = {"micro_batch": 16, "scan": False, "on_out_of_memory": "halve"}
    assert plan.options == RunOptions(execution=execution, evaluate_at=(0.25, 0.5))
    assert Execution.from_dict(plan.options.execution) == Execution(16, False, on_out_of_memory="halve")
    assert set(ExecutionField.model_fields) == {field.name for field in fields(Execution)} | {"pack"}
    assert ExecutionField().model_dump(exclude={"pack"}) == Execution().to_dict()


def test_schedule_average_and_regularisers_reach_the_config(read):
    text = (
        GOOD.replace("nano-F1]", "{name: nano-F1, dropout: 0.1, stochastic_depth: 0.2}]").replace("[0, 1]", "[0]")
        + "schedule: {name: warmup-stable-decay, warmup_epochs: 0.1, decay_fraction: 0.5}\nema: 0.999\nlabel_smoothing: 0.1\n"
    )
    plan = make_plan(*read(text))
    config = plan.runs[-1].config
    assert config.schedule == ScheduleConfig(1.0, "warmup-stable-decay", 0.1, 0.5)
    assert (config.ema, config.label_smoothing) == (0.999, 0.1)
    assert config.model.options == {"dropout": 0.1, "stochastic_depth": 0.2}
    assert {"ema", "schedule", "label_smoothing"} <= plan.shared.keys()
    assert not {run.id for run in plan.runs} & {run.id for run in make_plan(*read(GOOD)).runs}


def test_faults_of_fields_do_not_hide_faults_of_names(faults):
    found = faults(
        "name: tiny\ndataset: {name: digit}\nmodels: [nano-F0, nano-F9]\nepochs: [1, 1]\nbatch_size: -3\n"
        "learning_rate: 0.2\naugment: {repeats: 4}\nresources: {accelerator: gpu9}\n"
    )
    assert [fault.split(": ")[1] for fault in found] == [
        "batch_size",
        "resources.accelerator",
        "models[1]",
        "epochs[1]",
        "dataset.name",
    ]


def test_a_faulty_list_of_budgets_is_not_blamed_on_the_learning_rates(faults):
    found = faults(GOOD.replace("epochs: [0.5, 1]", "epochs: [0.5, -1]"))
    assert [fault.split(": ")[1] for fault in found] == ["epochs[1]"]
