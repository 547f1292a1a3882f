"""Without the packages of an extra: what does not need them works, and what does says which extra to install."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.experiments_file import read_spec
from orchestrator.store import open_readonly
from scaling.errors import MissingExtra, SpecError, UsageError
from trainer import data
from trainer.data.check import look_at
from trainer.data.images import optional

ROOT = Path(__file__).parent.parent
ALL = ("PIL", "array_record", "cv2", "psycopg", "pyarrow", "simplejpeg")
TESTS_ALONE = ("sklearn", "statsmodels", "hypothesis")
OWN = """
import numpy as np
from trainer.data import ArrayExamples, DataCard, Dataset

def pixels(options):
    images, labels = np.arange(16 * 64, dtype=np.uint8).reshape(16, 8, 8, 1), np.arange(16) % 2
    split = ArrayExamples(images, labels, full_scale=255, mean=0.5, std=0.2)
    return Dataset(DataCard("mine", "0" * 16, 2, (8, 8, 1), 16, 16), split, split)
"""

FILES_AND_LARGE = """
class Files:
    def __len__(self): return 16
    def __getitem__(self, index): return {"image": bytes([255, 216]), "label": 0, "id": index}

def files(options):
    return Dataset(DataCard("mine", "1" * 16, 2, (8, 8, 1), 16, 16), Files(), Files())

def large(options):
    split = pixels(options).train
    return Dataset(DataCard("mine", "2" * 16, 2, (4, 4, 1), 16, 16), split, split)
"""


def scaling(folder, *words):
    """The command in a process where no package of any extra can be imported: (exit code, stdout, stderr)."""
    blocked = dict.fromkeys((*ALL, *TESTS_ALONE))
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.modules.update({blocked}); sys.argv[1:] = {list(words)}\nimport scaling.cli; scaling.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def without(monkeypatch):
    """Call it with a module: from then on, and until the test ends, it cannot be imported here."""

    def forget():
        for function in (optional.encoded_picture, optional.resized, optional.mirrored, optional.randaugmented):
            function.cache_clear()

    def block(module):
        forget()
        for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, module, None)
        for name in ("decode", "orientation", "randaugment", "resize"):
            monkeypatch.delitem(sys.modules, f"trainer.data.images.{name}", raising=False)

    yield block
    monkeypatch.undo()
    forget()


def write(folder, dataset, **more):
    fields = {
        "name": "study",
        "dataset": dataset,
        "models": ["nano-F0"],
        "epochs": [1],
        "batch_size": 8,
        "learning_rate": 0.1,
        **more,
    }
    (folder / "e.yaml").write_text(json.dumps(fields))
    return folder / "e.yaml"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.jpg")
    return {"name": "imagefolder", "path": str(folder), "train_px": 32}


def test_digits_need_no_extra(tmp_path):
    write(tmp_path, {"name": "digits", "copies": 2}, augment={"mixup": 0.2})
    code, out, err = scaling(tmp_path, "submit", "e.yaml", "--dry-run")
    assert code == 0, err
    assert "nano-F0" in out


def test_a_table_is_fitted_without_any_extra(tmp_path):
    lines = [f"{size},{n},{2**n},{2.0**-n + 0.3 / size}" for n in range(8) for size in (1, 2)]
    (tmp_path / "runs.csv").write_text("\n".join(["model,epochs,core_hours,val_loss", *lines]))
    code, out, err = scaling(tmp_path, "fit", "--data", "runs.csv", "--law", "power")
    assert code == 0, err
    assert "power law" in out


@pytest.mark.parametrize("module", ["cv2", "PIL", "simplejpeg"])
def test_photographs_name_the_extra_images(tmp_path, photos, without, module):
    file = write(tmp_path, photos, augment={"crop": True, "flip": True, "randaugment_layers": 1})
    assert read_spec(file)
    without(module)
    with pytest.raises(SpecError) as told:
        read_spec(file)
    assert f"need the package '{module}', which is not installed (pip install \"scaling[images]\")" in str(told.value)


@pytest.mark.parametrize("augment", [{"crop": True}, {"flip": True}, {"randaugment_layers": 2}])
def test_so_does_what_is_done_to_digits(tmp_path, without, augment):
    file = write(tmp_path, {"name": "digits"}, augment=augment)
    assert read_spec(file)
    without("PIL")
    without("cv2")
    with pytest.raises(SpecError, match=rf"augment.{next(iter(augment))}: .*scaling\[images\]"):
        read_spec(file)
    assert read_spec(file, simulate=True)  # nothing is trained
    declared = {
        "name": "declared",
        "title": "x",
        "num_classes": 10,
        "image_shape": [32, 32, 3],
        "train_examples": 1000,
        "validation_examples": 100,
    }
    assert read_spec(write(tmp_path, declared, augment=augment))  # … and here on other machines


def test_a_users_own_pixels_need_none_but_files_and_what_is_too_large_do(tmp_path, monkeypatch, without):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own.py").write_text(OWN + FILES_AND_LARGE)
    for module in ALL:
        without(module)
    assert not look_at(data.load("source", {"source": "own:pixels"}))[0].bad
    with pytest.raises(MissingExtra, match="image files need the package"):
        data.card("source", {"source": "own:files"})
    with pytest.raises(MissingExtra, match="resized or cropped need the package 'cv2'"):
        look_at(data.load("source", {"source": "own:large"}))


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("parquet", "pyarrow", "parquet"), ("array_record", "array_record", "array-record")]
)
def test_files_of_other_formats_name_theirs(tmp_path, without, name, module, extra):
    for split in ("train", "validation"):
        (tmp_path / f"{split}-0.{name}").write_bytes(b"not read")
    without(module)
    with pytest.raises(MissingExtra, match=f"need the package '{module}'") as told:
        data.card(name, {"path": str(tmp_path), "train_px": 32, "num_classes": 2})
    assert told.value.hint == f'pip install "scaling[{extra}]"'


def test_a_list_of_images_to_leave_out_names_its_own(tmp_path, without):
    (tmp_path / "list.parquet").write_bytes(b"not read")
    file = write(tmp_path, {"name": "digits", "exclude": str(tmp_path / "list.parquet")})
    without("pyarrow")
    with pytest.raises(SpecError, match=r"dataset.exclude: lists of .* need the package 'pyarrow', .*scaling\[parquet\]"):
        read_spec(file)


@pytest.mark.parametrize("words", [["fit", "--data", "runs.parquet"], ["export", "out.parquet", "--data", "runs.csv"]])
def test_tables_in_parquet_name_theirs(tmp_path, words):
    """In a process of its own: where pandas has seen PyArrow, it keeps text in it."""
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    (tmp_path / "runs.csv").write_text("core_hours,val_loss\n1,3\n2,2\n4,1.5\n")
    code, _, err = scaling(tmp_path, *words)
    assert code == 2
    assert err.splitlines() == [
        "error: Parquet files need the package 'pyarrow', which is not installed",
        'hint:  pip install "scaling[parquet]"',
    ]


def test_a_server_of_a_database_names_its_own(without):
    without("psycopg")
    with pytest.raises(UsageError) as told:
        open_readonly("postgresql+psycopg://127.0.0.1/x")
    assert told.value.hint == 'pip install "scaling[postgres]"'
