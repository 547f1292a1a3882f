"""YAML files in the folders of experiment trackers: what cannot be read is one line that names the file."""

import pytest

from analysis import read_runs
from scaling.errors import DataError


def test_a_table_of_brackets_is_no_table(tmp_path):
    (tmp_path / "runs.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"runs\.json: "):
        read_runs(tmp_path / "runs.json")


BROKEN = {
    "tag": ("name: !!python/object/apply:os.system [id]", "line 1: could not determine a constructor"),
    "date": ("name: 2024-99-99", "month must be in 1..12"),
    "digits": (f"name: {'9' * 5000}", "limit"),
    "bracket": ("name: [", "line 1: "),
    "nesting": (f"name: {'[' * 5000}", "without end"),
    "list": ("- 1", "not a mapping"),
    "key": ("? [1]\n: 2", "unhashable"),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, tracker, text, said):
    name = "1/abc/meta.yaml" if tracker == "mlflow" else "run-20240101_000000-abc/files/config.yaml"
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    if tracker == "mlflow":
        (file.parent / "metrics").mkdir()
        (tmp_path / "1" / "meta.yaml").write_text("name: study\n")
    with pytest.raises(DataError) as caught:
        read_runs(tmp_path)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
