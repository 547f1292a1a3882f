"""Docs say what the code does: fields, columns, commands and figures that can be checked are checked."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import analysis
from orchestrator.experiments_file import read_spec
from orchestrator.experiments_file.fields import Spec
from orchestrator.planning.plan import make_plan
from scaling.cli.app import app
from scaling.columns import RECIPE_COLUMNS, RUN_COLUMNS
from scaling.errors import SpecError
from scaling.outcomes import OptimumStatus, RunStatus
from trainer import data, optimizers, schedules
from trainer.data import idx
from trainer.models import family, nfnet

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_field_of_the_file_is_described():
    text = (ROOT / "docs" / "experiments.md").read_text()
    for name in Spec.model_fields:
        assert f"| `{name}` |" in text, name
    for name in data.names():
        assert f"| `{name}` |" in text, name
    assert nfnet.names()[0] == "F0"


def test_the_yaml_blocks_of_the_docs_are_valid(tmp_path):
    blocks = [
        block
        for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "experiments.md").read_text(), re.S)
        if "name: digits" in block
    ]
    assert blocks
    for block in blocks:
        (tmp_path / "e.yaml").write_text(block)
        read_spec(tmp_path / "e.yaml")


def test_columns_page_is_what_the_code_says():
    rows = [
        f"| `{column.name}` | {column.kind} | {column.unit} | {column.description} |" for column in (*RUN_COLUMNS, *RECIPE_COLUMNS)
    ]
    text = (ROOT / "docs" / "columns.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("| `")][: len(rows)] == rows
    for status in RunStatus:
        assert f"| `{status}` | {status.advice} |" in text


def test_tests_that_the_docs_name_exist():
    named = {found for path in DOCS for found in re.findall(r"(test_\w+\.py)(?:::(\w+))?", path.read_text())}
    files = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(named) > 5
    assert not [file for file, _ in named if file not in files]
    assert not [name for file, name in named if name and f"def {name}(" not in files[file].read_text()]


def test_commands_in_the_docs_exist():
    known = {command.name for command in app.registered_commands}
    named = set()
    for path in DOCS:
        for command in re.findall(r"`?\bscaling ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`|```.*?```", path.read_text(), re.S))):
            assert command in known, f"{path.name}: scaling {command}"
            named.add(command)
    assert known - named <= {"resume"}, "every command is shown; `resume` beside `scaling pause`"


def test_options_in_the_docs_exist():
    known = {
        name: {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
        for name, command in typer.main.get_command(app).commands.items()
    }
    seen = 0
    for path in DOCS:
        text = path.read_text()
        lines = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()]
        for line in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
            for name, words in re.findall(r"\bscaling ([a-z]+)\b([^|;&#]*)", line):
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", words.split("scaling ")[0]):
                    seen += 1
                    assert option in known.get(name, {"--help"}) | {"--help"}, f"{path.name}: {line}"
    assert seen > 300


@pytest.mark.parametrize("command", [command.name for command in app.registered_commands])
def test_help_ends_with_examples(command):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}, catch_exceptions=False).stdout
    assert f"scaling {command}" in shown.split("Options")[-1].replace("\n", " "), shown[-400:]


def test_help_is_that_of_a_process():
    """What the other tests see of a command's help is what `python -m` prints."""
    shown = subprocess.run(
        [sys.executable, "-m", "scaling.cli", "fit", "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    ).stdout
    assert (
        shown.split()
        == CliRunner().invoke(app, ["fit", "--help"], env={"COLUMNS": "200"}, prog_name="python -m scaling.cli").stdout.split()
    )


def test_help_loads_nothing_heavy():
    script = "import sys; import scaling.cli.app; print([name for name in ('jax', 'ray', 'scipy', 'plotly', 'fastapi', 'pandas', 'sqlalchemy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["experiments.yaml", "experiments/digits.yaml", "experiments/jft4b.yaml"])
def test_files_that_ship_are_valid(name):
    plan = make_plan(*read_spec(ROOT / name))
    assert plan.runs or plan.searches


def test_every_optimiser_and_schedule_is_described():
    page = (ROOT / "docs" / "recipes.md").read_text()
    for kind in [*map(optimizers.optimizer_class, optimizers.names()), *map(schedules.schedule_class, schedules.names())]:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{kind.name}` |"))
        own = {field.name for field in dataclasses.fields(kind)} - {"clip_norm", "agc"}
        assert all(f"`{name}`" in row for name in own), kind.name
    assert "`clip_norm`" in page
    assert "`agc`" in page


def test_the_commands_and_models_on_the_page_of_models_are_valid():
    page = (ROOT / "docs" / "models.md").read_text()
    commands = re.findall(r"^scaling (model .*)$", page, re.M)
    assert len(commands) >= 4
    for command in commands:
        CliRunner().invoke(app, shlex.split(command), catch_exceptions=False, color=False).stdout.index("parameters")
    models = [model for block in re.findall(r"```yaml\n(models:.*?)```", page, re.S) for model in yaml.safe_load(block)["models"]]
    shipped = [model for model in models if "source" not in model]
    assert len(shipped) >= 4
    study = {"name": "a", "dataset": "digits", "epochs": [1], "batch_size": 32, "learning_rate": 0.1}
    images = {
        "name": "declared",
        "title": "a",
        "train_examples": 1000,
        "validation_examples": 100,
        "num_classes": 10,
        "image_shape": [224, 224, 3],
    }
    assert make_plan(*read_spec(study | {"models": shipped, "dataset": images})).runs


def test_the_file_on_the_page_of_recipes_is_valid():
    [text] = re.findall(r"```yaml\n(name: .*?)```", (ROOT / "docs" / "recipes.md").read_text(), re.S)
    plan = make_plan(*read_spec(yaml.safe_load(text)))
    found = {(search.run.config.model.family, search.run.config.optimizer.name, search.policy.start) for search in plan.searches}
    assert found == {("nfnet", "sgd-agc", 0.4), ("vit", "adamw", 0.02), ("resnet", "sgd", 0.2)}


@pytest.mark.parametrize("name", ["fashion_mnist", "rivals", "rivals_wider", "rivals_recipes", "rivals_crop", "rivals_repeats"])
def test_a_file_of_fashion_mnist_is_valid_or_says_what_to_install(name):
    path = ROOT / "experiments" / f"{name}.yaml"
    if not os.environ.get("SCALING_CI") and not any(Path(place).is_dir() for place in idx.fashion_mnist.places):
        with pytest.raises(SpecError, match="apt install dataset-fashion-mnist"):
            read_spec(path)
        return
    plan = make_plan(*read_spec(path))
    if name == "fashion_mnist":
        assert (plan.card.train_examples, plan.card.validation_examples) == (60_000, 10_000)
        assert max(plan.spec.epochs) == 2
    else:
        assert (plan.card.train_examples, plan.card.validation_examples, plan.card.num_classes) == (30_000, 5_000, 5)


def test_rivals_are_given_the_same_means():
    """Sizes, budgets and trials of each family alike, and two decades of compute; what is fine-tuned has other classes, and larger images."""
    path = ROOT / "experiments" / "rivals.yaml"
    document = yaml.safe_load(path.read_text())
    families = {"nfnet", "vit", "resnet"}
    assert sorted(model["family"] for model in document["models"]) == sorted(4 * [*families])
    assert set(document["recipes"]) == set(document["finetune"]["recipes"]) == families
    for recipes in (document["recipes"], document["finetune"]["recipes"]):
        policies = [{**recipe["learning_rate"], "start": None} for recipe in recipes.values()]
        assert policies == 3 * policies[:1]
    before, after = document["dataset"], document["finetune"]["dataset"]
    assert sorted(before["classes"] + after["classes"]) == list(range(10))
    assert after["train_px"] > before["train_px"]
    image = (before["train_px"], before["train_px"], 1)
    for name in families:
        models = [{**model} for model in document["models"] if model["family"] == name]
        macs = [family(model.pop("family")).macs(model.pop("name"), model, num_classes=5, image_shape=image) for model in models]
        assert max(macs) / min(macs) * max(document["epochs"]) / min(document["epochs"]) >= 100


def test_the_default_file_is_the_study_it_claims():
    spec, document = read_spec(ROOT / "experiments.yaml")
    plan = make_plan(spec, document)
    assert max(spec.epochs) / min(spec.epochs) >= 8
    assert len(spec.epochs) >= 4
    assert len(spec.seeds) >= 2
    assert plan.card.validation_examples >= 400
    rates = spec.recipe_of(spec.models[0]).learning_rate
    assert any(len(rates.of_budget(epochs)) >= 3 for epochs in spec.epochs)
    assert max(spec.epochs) <= 1, "no run sees an image twice"
    params = {run.config.model.name: run.params for run in plan.runs}
    assert max(params.values()) / min(params.values()) >= 20
    assert all(f"{count:,}" in document.text for count in params.values()), "the file says how large each is"
    assert document.text.startswith("#")


def test_the_default_study_shows_what_the_documentation_says_of_it():
    """The runs are those that its page was made from."""
    runs = analysis.read_runs(ROOT / "docs" / "default_study.csv")
    planned = {run.id for run in make_plan(*read_spec(ROOT / "experiments.yaml")).runs}
    assert set(runs["id"]) == planned, "the page is of another study: python docs/study.py default_study"
    law = analysis.choose_law(runs, x="train_flops")
    assert (law.law, law.lights.identified.ok, law.lights.forecasts_well.ok) == ("power", True, True)
    assert law.r_squared > 0.97
    low, high = law.interval().loc["a"]
    assert high - low < 0.3 * law.coefficients["a"]
    found = analysis.compute_optimal(runs, x="train_flops")
    assert sum(path.status == OptimumStatus.OK for path in found.paths) >= 2
    assert analysis.learning_rate_trend(runs).to_dict()["slope"]["p_value"] < 0.05
    assert runs.loc[runs["val_loss"].idxmin(), "model"] == "w48"


def test_the_python_of_the_readme_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(block.replace('"docs/', f'"{ROOT}/docs/'), {})
    shown = capsys.readouterr().out
    assert shown.startswith(re.search(r"# (val_loss falls .*)…", block)[1])


def test_the_published_core_hours_follow_from_one_mfu():
    """TPU-v4 core-hours of arXiv 2310.16764: F7+ at 8 epochs as printed, the others per epoch as read off its figure."""
    plan = make_plan(*read_spec(ROOT / "experiments" / "jft4b.yaml"))
    cost = {(search.key[1], search.key[2]): search.run.estimated_core_hours for search in plan.searches}
    assert cost["F7+", 8.0] == pytest.approx(110_000, rel=0.15)
    for model, published in {"F1": 2648, "F3": 4815, "F3+": 6887, "F7": 9452, "F7+": 13750}.items():
        assert cost[model, 1.0] == pytest.approx(published, rel=0.15), model
    tuned = {search.key[1]: search.run.estimated_core_hours for search in plan.finetuning.searches}
    assert tuned["F7+"] == pytest.approx(1600, rel=0.25), "as printed, which its own utilisation is taken from"
