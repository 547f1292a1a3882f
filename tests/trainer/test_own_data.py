"""The data set of the how-to, as it is printed there: described, read by processes, trained and audited."""

import math
import re
import sqlite3
from pathlib import Path

import pytest
import yaml

from scaling.errors import DataError, UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer import pictures
from trainer import AugmentConfig, DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data, train
from trainer.audit import Stretch, check

pytestmark = pytest.mark.usefixtures("quick_compilation")

HOW_TO = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """The module of the how-to where it can be imported, and a database for it; the options are those of its YAML."""
    folder = tmp_path_factory.mktemp("own")
    code = re.search(r"```python\n(# mydata.py.*?)```", HOW_TO, re.S).group(1)
    (folder / "mydata.py").write_text(code)
    with sqlite3.connect(folder / "images.db") as database:
        database.execute("CREATE TABLE images (split, number, image, label)")
        for split, rows in pictures.small_set().items():
            for number, (_, content, label) in enumerate(rows):
                database.execute("INSERT INTO images VALUES (?, ?, ?, ?)", (split, number, content, label))
    stated = yaml.safe_load(re.search(r"```yaml\n(dataset: {source.*?)```", HOW_TO, re.S).group(1))["dataset"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield stated | {"path": str(folder / stated["path"])}


def config_of(options, **changes):
    card = data.card("source", options)
    fields = {"augment": AugmentConfig(crop=True, flip=True), "schedule": ScheduleConfig(1.5)} | changes
    model = ModelConfig("nfnet", "tiny", {"width": [8], "depth": [1], "group_width": 4, "stem": "medium"})
    return TrainConfig(DataConfig("source", card, options), model, batch_size=8, learning_rate=0.1, **fields)


def test_a_data_set_of_ones_own_is_trained_and_audited(options, tmp_path):
    config = config_of(options)
    assert (config.data.card.train_examples, config.data.card.image_shape) == (21, (24, 24, 3))
    result = train(config, directory=tmp_path, execution=Execution(workers=1))
    assert result.outcome is AttemptOutcome.FINISHED
    assert result.chance_loss == pytest.approx(math.log(3)), "the nine held-out images are three of each class"
    assert result.val_loss == pytest.approx(math.log(3), abs=0.1), "four steps change it little"
    report = check([Stretch(tmp_path, 0, result.last_step)], data.Order.of(config))
    assert report.clean
    assert report.complete


def test_a_class_that_there_is_not_stops_the_run_or_is_told_by_the_audit(options, tmp_path):
    with sqlite3.connect(options["path"]) as database:
        database.execute("UPDATE images SET label = 3 WHERE split = 'train' AND number = 6")
    config = config_of(options)
    with pytest.raises(DataError, match="train example 6: label 3 is not one of 0 … 2"):
        train(config, directory=tmp_path / "fails")
    result = train(config, directory=tmp_path / "skips", execution=Execution(on_bad_example="skip"))
    report = check([Stretch(tmp_path / "skips", 0, result.last_step)], data.Order.of(config))
    assert report.clean
    assert {(number, reason) for _, number, reason in report.skipped} == {(6, "label 3 is not one of 0 … 2")}


def test_a_source_that_is_not_there():
    with pytest.raises(UsageError, match="cannot be imported"):
        data.card("source", {"source": "mydata:circles"})
