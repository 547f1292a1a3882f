"""docs/programs.md: its snippets compile and report what is taken, its file is planned, and each name on it is one of the code's.

`python -m benchmarks.programs` trains by the snippets, with PyTorch, Lightning and Hugging Face.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from benchmarks.programs.page import PAGE, snippet
from benchmarks.programs.scripts import NAMES, script
from orchestrator.cluster import program
from orchestrator.experiments_file import read_spec
from orchestrator.experiments_file.fields import TrainerField
from orchestrator.planning.plan import make_plan
from orchestrator.program import command_of
from scaling.program import report

TEXT = PAGE.read_text()
HUGGING_FACE_LOGS = (
    {"loss": 0.45, "grad_norm": 0.44, "learning_rate": 9.1e-3, "epoch": 0.5},
    {"eval_loss": 0.15, "eval_runtime": 0.01, "eval_samples_per_second": 20480.0, "eval_steps_per_second": 2560.0, "epoch": 2.0},
    {"train_runtime": 3.9, "train_samples_per_second": 990.0, "train_steps_per_second": 31.0, "train_loss": 0.2, "epoch": 5.0},
)
"""What transformers 5.24 logged in `python -m benchmarks.programs`: training, evaluation, the end."""


def rows(head):
    """The names in the first column of the table with this head."""
    table = TEXT.partition(f"| {head} |")[2].split("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}


@pytest.mark.parametrize("name", NAMES)
def test_a_snippet_compiles_alone_and_as_the_program_of_the_benchmark(name):
    for text in (snippet(name), script(name)):
        compile(text, name, "exec")


def test_every_variable_is_one_that_a_program_is_given():
    named = set(re.findall(r"SCALING_[A-Z]+", TEXT))
    given = set(re.findall(r'"(SCALING_[A-Z]+)"', inspect.getsource(program)))
    assert named == rows("in the environment") == given
    assert named == set(re.findall(r"SCALING_[A-Z]+", inspect.getsource(inspect.getmodule(report))))


def test_the_keys_of_trainer_are_those_of_the_file():
    assert rows("key of `trainer`") == set(TrainerField.model_fields)


def test_the_fields_of_a_report_are_those_that_are_read():
    named = {name for name, how in inspect.signature(report).parameters.items() if how.kind is how.KEYWORD_ONLY}
    assert rows("field") == {*named, "steps", "at", *program._SECONDS}
    lines = [line for line in re.findall(r"`(\{.*?\})`", TEXT) if line.startswith('{"')]
    assert len(lines) == 1
    assert program._read(lines[0].encode(), 1) == json.loads(lines[0])


def test_the_file_and_the_script_of_the_page_make_a_plan(tmp_path):
    (tmp_path / "train.py").write_text(snippet("PyTorch"))
    (tmp_path / "study.yaml").write_text(re.search(r"```yaml\n(.*?)```", TEXT, re.S)[1])
    runs = make_plan(*read_spec(tmp_path / "study.yaml")).runs
    assert len(runs) == 2 * 4 * 2
    commands = {" ".join(command_of(run.config)) for run in runs}
    assert "python train.py --width 64 --epochs 5 --lr 0.1 --seed 0" in commands
    assert len(commands) == len(runs)
    asked = re.findall(r'\("(\w+)", (?:int|float)\)', snippet("PyTorch"))
    assert all({word[2:] for word in command.split() if word.startswith("--")} == set(asked) for command in commands)


def test_the_command_of_torchrun_gives_what_its_script_asks_for():
    _, fragment = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    trainer = TrainerField(**yaml.safe_load(fragment)["trainer"])
    words = trainer.command[trainer.command.index("train.py") + 1 :]
    asked = re.findall(r'\("(\w+)", (?:int|float)\)', snippet("torchrun"))
    assert [word[2:] for word in words[::2]] == asked
    assert words[1::2] == ["{width}", "{epochs}", "{learning_rate}", "{seed}"]


def test_what_hugging_face_logs_is_a_report(tmp_path, monkeypatch):
    """Its logs hold a learning rate, which is a column of ours, and at the end a loss under the name that ours has."""
    fake = ModuleType("transformers")
    fake.TrainerCallback = object
    monkeypatch.setitem(sys.modules, "transformers", fake)
    monkeypatch.setenv("SCALING_EVENTS", str(tmp_path / "events"))
    names: dict = {}
    exec(snippet("Hugging Face"), names)
    callback, state = names["Reports"](), SimpleNamespace(global_step=12, max_steps=120)
    for logs in HUGGING_FACE_LOGS:
        callback.on_log(None, state, None, logs=logs)
    callback.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    reports = [program._read(line, 1) for line in Path(tmp_path / "events").read_bytes().splitlines()]
    assert [each.get("train_loss") for each in reports] == [0.45, None, None, None]
    assert [each.get("val_loss") for each in reports] == [None, 0.15, None, None]
    assert reports[-1]["checkpoint"] == str(tmp_path / "checkpoint-12")
