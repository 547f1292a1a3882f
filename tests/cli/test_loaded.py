"""What a command loads: modules are counted and not seconds, so that this fails on every machine or on none."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.commands import GOALS, commands, finished_store, measured

ROOT = Path(__file__).parents[2]
FILE = """\
name: tiny
dataset: {name: digits}
models: [nano-F0, nano-F1]
epochs: [1, 2, 4]
batch_size: 32
learning_rate: 0.4
seeds: [0, 1]
"""

NEVER = {
    "PIL", "alembic", "array_record", "cv2", "fastapi", "flax", "jax", "matplotlib", "optax", "plotly", "ray", "scipy.interpolate", "scipy.optimize",
    "scipy.stats", "simplejpeg", "sklearn", "sqlalchemy.dialects.postgresql", "statsmodels", "uvicorn",
}  # fmt: skip
NO_TABLE = NEVER | {"numpy", "pandas", "pyarrow", "scipy"}
NO_LAW = (NEVER | {"pandas", "pyarrow", "scipy"}) - {"numpy"}
LOADS_NO = {
    "scaling --help": NO_TABLE | {"orchestrator", "sqlalchemy"},
    "scaling status": NO_TABLE,
    "scaling runs": NO_TABLE,
    "scaling fit": NEVER,
    "submit --dry-run": NO_LAW,
    "submit again, nothing to do": NEVER,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "e.yaml").write_text(FILE)
    finished_store(folder / "e.yaml", folder / "scaling.db")
    return folder


@pytest.mark.parametrize("label", LOADS_NO)
def test_a_command_loads_what_it_uses(study, label):
    words = commands(Path("e.yaml"))[label]
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = {words}\n"
        "from scaling.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\nloaded', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=study, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert sorted(loaded & LOADS_NO[label]) == []
    assert ("orchestrator.store" in loaded) == (label != "scaling --help")  # it did what it was asked for


def test_the_benchmark_times_them(study):
    every = commands(study / "e.yaml")
    assert set(every) == set(LOADS_NO) >= set(GOALS)
    quick = {label: every[label] for label in ("scaling --help", "scaling status")}
    medians = measured(quick, study, {"this": ROOT}, 1)
    assert set(medians) == {(label, "this") for label in quick}
    assert all(cpu > 0 and wall > 0 for wall, cpu in medians.values())
