"""Two real processes joined by `jax.distributed` train one run; one is killed, both start again, and nothing shows in the result."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.trainer import small_run
from tests.trainer.conftest import QUICKLY
from tests.trainer.small_run import bits
from trainer import Execution, ModelConfig, audit, checkpoint, data, train

CONFIG = small_run.config(epochs=8, depth=1)
STEPS = 48
WITH_STATE = small_run.config(model=ModelConfig("tests.trainer.strangers_models:masked", "one"), learning_rate=0.01, epochs=1.5)


class Host:
    """A trainer process as a worker holds it, and what it says."""

    def __init__(self, group, cache, faults):
        self.group, self.cache, self.events = group, cache, queue.SimpleQueue()
        receive, send = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.cluster.host", str(send)],
            stdin=subprocess.PIPE,
            text=True,
            pass_fds=(send,),
            env=os.environ | {"SCALING_FAULTS": str(faults), "XLA_FLAGS": QUICKLY},
        )
        os.close(send)
        threading.Thread(target=self._read, args=(receive,), daemon=True).start()

    def _read(self, receive):
        with os.fdopen(receive) as pipe:
            for line in pipe:
                self.events.put(json.loads(line))

    def say(self, command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def train(self, directory, resume_from=None, config=CONFIG):
        order = {
            "token": str(directory),
            "config": config.to_dict(),
            "directory": str(directory),
            "resume_from": resume_from,
            "checkpoint_seconds": 0.05,
            "compile_cache": self.cache,
            "working_directory": os.getcwd(),
            "options": {"execution": Execution(fsdp=True).to_dict()},
            "group": self.group,
        }
        self.say({"run": order})

    def until(self, *kinds, seconds=300):
        deadline, heard = time.monotonic() + seconds, []
        while not heard or heard[-1]["kind"] not in kinds:
            heard.append(self.events.get(timeout=max(0.1, deadline - time.monotonic())))
            assert heard[-1]["kind"] in kinds or heard[-1]["kind"] != "raised", heard[-1]
        return heard


class Pair:
    """Two hosts that share one fate: this class is who hosts them."""

    def __init__(self, cache, faults):
        self.faults = faults
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{probe.getsockname()[1]}"
        self.hosts = [Host({"coordinator": coordinator, "count": 2, "index": index}, cache, faults) for index in range(2)]

    def train(self, *arguments):
        for host in self.hosts:
            host.train(*arguments)

    def stop_at_checkpoint(self):
        """The process that commits the first checkpoint stands still there, and with it the other, until it is sent SIGCONT."""
        (self.faults / "checkpoint-committed").write_text("stop")

    def struck(self, seconds=300):
        """Its id, once it stands still."""
        note, deadline = self.faults / "checkpoint-committed.struck", time.monotonic() + seconds
        while not (note.exists() and note.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process = int(note.read_text())
        note.unlink()
        return process

    def kill(self):
        for host in self.hosts:
            host.process.kill()
            host.process.wait()


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Undisturbed; killed in the middle; gone on with and asked to stop through one of the two; gone on with to the end."""
    home, cache = tmp_path_factory.mktemp("pair"), str(tmp_path_factory.mktemp("cache"))
    faults, told, pairs = tmp_path_factory.mktemp("faults"), {}, []
    try:
        pairs.append(pair := Pair(cache, faults))
        pair.train(home / "whole")
        told["whole"] = pair.hosts[0].until("ended")
        pair.stop_at_checkpoint()
        pair.train(home / "1")
        stopped = pair.struck()
        pair.hosts[1].process.kill()
        os.kill(stopped, signal.SIGCONT)
        told["survivor"] = pair.hosts[0].until("raised", seconds=60)[-1]
        pair.kill()

        pairs.append(pair := Pair(cache, faults))
        pair.stop_at_checkpoint()
        pair.train(home / "2", {"directory": str(home / "1")})
        stopped = pair.struck()
        pair.hosts[1].say({"stop": str(home / "2")})
        os.kill(stopped, signal.SIGCONT)
        told["2"] = pair.hosts[0].until("ended")
        told["left"] = pair.hosts[1].until("left")[-1]
        pair.train(home / "3", {"directory": str(home / "2"), "step": told["2"][-1]["checkpoint_step"]})
        told["3"] = pair.hosts[0].until("ended")
        pair.train(home / "state", None, WITH_STATE)
        told["state"] = pair.hosts[0].until("ended")
    finally:
        for pair in pairs:
            pair.kill()
    return home, told


def first_step(events):
    return next(event["step"] for event in events if event["kind"] == "started")


def test_both_start_again_and_end_with_the_same_bits(story):
    home, told = story
    whole, end = told["whole"][-1], told["3"][-1]
    assert (whole["outcome"], end["outcome"], end["last_step"]) == ("finished", "finished", STEPS)
    assert 0 < first_step(told["2"]) < first_step(told["3"]) < STEPS
    assert (bits(home / "3", STEPS), end["val_loss"]) == (bits(home / "whole", STEPS), whole["val_loss"])


def test_state_is_of_the_whole_batch_and_in_the_checkpoint(story, tmp_path):
    """Equal to one process's to rounding; statistics of half a batch would be others."""
    home, told = story
    alone = train(WITH_STATE, directory=tmp_path)
    assert told["state"][-1]["val_loss"] == pytest.approx(alone.val_loss, rel=1e-5)
    ours, theirs = (checkpoint.restore(place)[0].arrays for place in (tmp_path, home / "state"))
    assert {name.partition("/")[0] for name in ours} == {"params", "optimizer", "ema", "collections", "ema_collections"}
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(theirs[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_survivor_says_that_it_may_be_its_peer_s_fault(story):
    survivor = story[1]["survivor"]
    assert survivor["of_the_group"], survivor


def test_a_stop_asked_of_one_stops_both_at_one_step(story):
    _, told = story
    ended, left = told["2"][-1], told["left"]
    assert (ended["outcome"], left["outcome"]) == ("interrupted", "interrupted")
    assert ended["last_step"] == ended["checkpoint_step"] == left["step"]


def test_each_example_once_over_both_processes_and_all_attempts(story):
    home, told = story
    borders = [0, first_step(told["2"]), first_step(told["3"]), STEPS]
    stretches = [audit.Stretch(home / str(n), borders[n - 1], borders[n], hosts=2) for n in (1, 2, 3)]
    report = audit.check(stretches, data.Order.of(CONFIG))
    assert (report.clean, report.complete) == (True, True), report.faults


def test_each_process_writes_its_part_of_a_split_state(story):
    home, _ = story
    folder = home / "3" / "checkpoints" / str(STEPS)
    assert len(list(folder.glob("state.*.npz"))) == 2
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [part["bytes"] > 0 for part in manifest["parts"]] == [True, True]
