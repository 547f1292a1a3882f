"""Events of a training as records, and as the lines that outlive the version which wrote them."""

import json

import pytest

from scaling.outcomes import AttemptOutcome
from trainer import Seconds, TrainResult
from trainer.events import Compiled, Ended, Event, Progress, RanOutOfMemory


def test_a_record_is_also_read_by_the_names_of_its_line():
    progress = Progress(step=3, steps=9, train_seconds=1.5, train_loss=None)
    assert [progress[name] for name in ("kind", "step", "train_loss", "mfu")] == ["progress", 3, None, None]
    result = TrainResult(AttemptOutcome.INTERRUPTED, "asked to stop", 0, 4, None, 64, Seconds(train=2.0))
    ended = Ended(step=4, result=result)
    assert (ended["outcome"], ended["seconds"]["train"], ended["result"]) == ("interrupted", 2.0, result)
    with pytest.raises(KeyError):
        progress["outcome"]


def test_what_a_line_has_too_much_is_passed_over_and_what_it_lacks_is_the_default():
    line = {"kind": "compiled", "step": 0, "shape": "s", "seconds": 2.0, "of_a_later_version": 7}
    assert Event.from_dict(line) == Compiled(shape="s", seconds=2.0)
    assert Compiled(shape="s", seconds=2.0).to_dict() == {name: line[name] for name in ("kind", "step", "shape", "seconds")}


def test_an_event_of_an_unknown_kind_tells_its_step_and_nothing_else():
    event = Event.from_dict({"kind": "profiled", "step": 7, "flame": [1, 2]})
    assert (type(event), event.step, event.is_last) == (Event, 7, False)
    assert Event.from_dict(event.to_dict()) == event


@pytest.mark.parametrize("line", [{"kind": "progress", "step": 3}, {"kind": "ended", "step": 3}, {"step": 3}])
def test_a_line_that_is_not_whole_says_so(line):
    with pytest.raises(ValueError, match="an event is not whole"):
        Event.from_dict(line)


def test_a_line_of_json_comes_back_as_the_same_record():
    result = TrainResult(AttemptOutcome.FINISHED, "", 0, 9, 9, 144, Seconds(1.0, 2.0, 0.5, 0.25), val_loss=0.5, chance_loss=1.4)
    for event in (Ended(step=9, result=result, digest="7"), RanOutOfMemory(step=2, micro_batch=8)):
        assert Event.from_dict(json.loads(json.dumps(event.to_dict()))) == event
