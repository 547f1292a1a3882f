"""A bundle says elsewhere what its store says here, to the character; a zip that is none is refused in one line."""

from __future__ import annotations

import json
import zipfile

import pytest

from analysis import answer, read_runs, regret
from analysis.headline import headline
from orchestrator.bundle import study_files, write_bundle
from orchestrator.imports import read_import, write_import
from orchestrator.store import open_readonly
from scaling.errors import DataError, UnknownName, UsageError
from tests.api.small_grid import fill


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A store with diverged, failed and pending runs, and a bundle of it."""
    folder = tmp_path_factory.mktemp("study")
    db = str(folder / "scaling.db")
    fill(folder / "scaling.db")
    with open_readonly(db) as store:
        runs = store.runs()
    return db, runs, write_bundle(runs, folder / "study.zip", files=study_files(db))


def changed(bundle, tmp_path, **members):
    """A copy of a bundle in which some members are others; None removes one."""
    copy = tmp_path / "copy.zip"
    with zipfile.ZipFile(bundle.path) as old, zipfile.ZipFile(copy, "w") as new:
        held = {name: old.read(name) for name in old.namelist()} | {
            name.replace("_", ".", 1): content for name, content in members.items()
        }
        for name, content in held.items():
            if content is not None:
                new.writestr(name, content)
    return copy


def said_of(runs):
    said = answer(runs)
    return headline(said, regret(runs)), said.law.coefficients


def test_the_sentence_is_the_same_elsewhere_to_the_character(study, tmp_path):
    _, runs, bundle = study
    here = said_of(runs)
    assert bundle.sentence == here[0]
    assert "costs at most" in bundle.sentence
    assert said_of(read_runs(bundle.path)) == here
    db = str(tmp_path / "other.db")
    incoming = read_import(bundle.path)
    write_import(incoming, db)
    with open_readonly(db) as store:
        assert said_of(store.runs()) == here
    assert incoming.left_out.keys() <= {"pending", "running", "paused"}


def test_it_holds_what_a_reader_needs(study):
    db, runs, bundle = study
    with zipfile.ZipFile(bundle.path) as opened:
        about = json.loads(opened.read("bundle.json"))
        law = json.loads(opened.read("law.json"))
        assert len(opened.read("runs.jsonl").splitlines()) == len(runs) == about["runs"]
        texts = {name: opened.read(name).decode() for name in opened.namelist() if name.startswith("experiments/")}
        assert opened.read("about.txt").decode().startswith(bundle.sentence)
    assert about["sentence"] == bundle.sentence
    assert bundle.sentence.startswith(about["answer"]["sentence"].partition(" Best so far")[0])
    assert {"scaling", "numpy", "scipy", "pandas", "python"} <= about["versions"].keys()
    assert law["law"] == about["answer"]["law"]
    assert sorted(texts.values()) == sorted(each.text for each in study_files(db))
    with pytest.raises(UnknownName):
        study_files(db, "none")


def test_every_number_is_kept_to_its_last_bit(study):
    _, runs, bundle = study
    back = read_runs(bundle.path)
    for name in ("val_loss", "core_hours", "learning_rate", "train_flops"):
        assert back[name].dropna().tolist() == runs[name].dropna().tolist()
    assert back["id"].tolist() == runs["id"].tolist()


def test_what_was_chosen_goes_along(study, tmp_path):
    _, runs, _ = study
    runs = runs.copy(deep=False)
    from analysis.reading.source import attach_source, source_of

    attach_source(runs, {**source_of(runs), "cell": ["seed"], "config": ["dataset"]})
    bundle = write_bundle(runs, tmp_path / "chosen.zip")
    source = source_of(read_runs(bundle.path))
    assert (source["cell"], source["config"]) == (["seed"], ["dataset"])
    assert "was exported by scaling" in source["notes"][0]


def test_runs_without_a_law_are_exported_all_the_same(tmp_path):
    import pandas as pd

    bundle = write_bundle(pd.DataFrame({"core_hours": [1.0, float("inf")], "val_loss": [2.0, float("nan")]}), tmp_path / "few.zip")
    assert bundle.sentence is None
    assert "needed" in bundle.no_law
    assert read_runs(bundle.path)["val_loss"].isna().tolist() == [False, True]


def test_a_zip_that_is_no_bundle_is_refused(study, tmp_path):
    _, _, bundle = study
    about = json.loads(zipfile.ZipFile(bundle.path).read("bundle.json"))
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError, match="cannot be read as a zip"):
        read_runs(tmp_path / "text.zip")
    for members, said in (
        ({"bundle_json": None}, r"no bundle: there is no bundle\.json in it"),
        ({"runs_jsonl": None}, r"there is no runs\.jsonl in it"),
        ({"bundle_json": json.dumps([1])}, "is not that of a bundle"),
        ({"bundle_json": json.dumps({**about, "version": 99})}, "a bundle of version 99, this version of scaling reads 1"),
        ({"runs_jsonl": b'{"core_hours": 1}\n'}, "it was changed"),
        ({"bundle_json": b"{"}, "no JSON"),
    ):
        with pytest.raises(DataError, match=said):
            read_runs(changed(bundle, tmp_path, **members))


def test_a_zip_that_claims_to_hold_more_than_any_bundle_is_not_unpacked(study, tmp_path, monkeypatch):
    _, _, bundle = study
    from analysis.reading import bundle as reading

    monkeypatch.setattr(reading, "_MOST_BYTES", 1000)
    with pytest.raises(DataError, match="GiB, more than any bundle"):
        read_runs(bundle.path)


def test_a_name_that_cannot_be_written_is_refused_and_leaves_nothing(study, tmp_path):
    _, runs, _ = study
    with pytest.raises(UsageError, match="a bundle is a zip"):
        write_bundle(runs, tmp_path / "study.tar")
    with pytest.raises(UsageError, match="cannot be written"):
        write_bundle(runs, tmp_path / "none" / "study.zip")
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_bundle(runs, tmp_path / "folder.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.zip"]


def test_hostile_names_of_experiments_stay_inside_the_zip(study, tmp_path):
    from orchestrator.bundle import StudyFile

    _, runs, _ = study
    files = [StudyFile(name, "f.yaml", 1, "text") for name in ("../../x", "/etc/passwd", "a\x1b[2J\\b", "", "é")]
    with zipfile.ZipFile(write_bundle(runs.head(1), tmp_path / "names.zip", files=files).path) as opened:
        names = [name for name in opened.namelist() if name.startswith("experiments/")]
    assert names == [
        "experiments/1-x.yaml",
        "experiments/2-etc-passwd.yaml",
        "experiments/3-a--2J-b.yaml",
        "experiments/4-experiment.yaml",
        "experiments/5-é.yaml",
    ]
