"""What it costs to be able to resume, and whether it holds: random SIGKILLs, the time from SIGTERM to a commit, checkpoints by size.

    python benchmarks/resume.py [--kills 20] [--terms 5] [--megabytes 10 100 1000]

Kills: one run on the digits is killed by another process after a random time, again and again, each time going on in a new attempt; at the
end its parameters are compared bit by bit with those of a run that nobody disturbed, and every attempt's record is audited.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

EPOCHS = 30.0


def config():  # noqa: ANN201 - imported late: this module is cheap to import
    from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data

    return TrainConfig(
        data=DataConfig("digits", data.card("digits", {})),
        model=ModelConfig("nfnet", "nano-F0"),
        schedule=ScheduleConfig(EPOCHS),
        batch_size=64,
        learning_rate=0.8,
    )


class Host:
    """A trainer process with one run on it."""

    def __init__(self, home: Path, number: int, resume_from: Path | None, checkpoint_seconds: float) -> None:
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        receive, send = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.cluster.host", str(send)], stdin=subprocess.PIPE, text=True, pass_fds=(send,)
        )
        os.close(send)
        threading.Thread(target=self._read, args=(receive,), daemon=True).start()
        assignment = {
            "token": str(number),
            "config": config().to_dict(),
            "directory": str(home / str(number)),
            "resume_from": resume_from and {"directory": str(resume_from)},
            "checkpoint_seconds": checkpoint_seconds,
            "compile_cache": str(home / "cache"),
            "working_directory": str(home),
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"run": assignment}) + "\n")
        self.process.stdin.flush()

    def _read(self, receive: int) -> None:
        with os.fdopen(receive) as pipe:
            for line in pipe:
                self.events.put(json.loads(line))

    def until(self, *kinds: str, seconds: float = 300.0) -> dict | None:
        """The first event of one of these kinds; None when it does not come in time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                event = self.events.get(timeout=left)
            except queue.Empty:
                return None
            if event["kind"] in kinds:
                return event
            if event["kind"] == "raised":
                raise SystemExit(event["reason"])
        return None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def bits(folder: Path, step: int) -> str:
    """A hash over the arrays of a checkpoint."""
    from trainer import checkpoint

    restored, _ = checkpoint.restore(folder, at_most=step)
    assert restored is not None
    digest = hashlib.sha256()
    for name in sorted(restored.arrays):
        digest.update(name.encode() + restored.arrays[name].tobytes())
    return digest.hexdigest()


def random_kills(home: Path, kills: int) -> None:
    from trainer import audit, data

    host = Host(home, 0, None, 3600.0)
    ended = host.until("ended")
    host.kill()
    assert ended is not None
    steps, seconds = ended["last_step"], ended["seconds"]["train"]
    numbers, lives, kills_done, done = random.Random(0), [], 0, None
    while done is None:
        folder = home / str(kills_done + 1)
        host = Host(home, kills_done + 1, lives[-1][0] if lives else None, checkpoint_seconds=seconds / kills / 5)
        started = host.until("started")
        assert started is not None
        done = host.until("ended", seconds=numbers.uniform(0.3, 1.7) * seconds / kills if kills_done < kills else 300.0)
        host.kill()
        kills_done += done is None
        if done is not None or any((folder / "checkpoints").glob("*/manifest.json")):
            lives.append((folder, started["step"]))
    borders = [first for _, first in lives] + [steps]
    stretches = [audit.Stretch(folder, first, stop) for (folder, first), stop in zip(lives, borders[1:], strict=True)]
    report = audit.check(stretches, data.Order.of(config()))
    same = bits(lives[-1][0], steps) == bits(home / "0", steps)
    print(f"random kills: {kills_done} over {steps} steps; the lives that got to a checkpoint began at {borders[:-1]}")
    print(
        f"  bits of the end {'the same' if same else 'DIFFER'}; audit {'clean' if report.clean and report.complete else report.faults}"
    )


def terms(home: Path, count: int) -> None:
    told, left = [], []
    for number in range(count):
        host = Host(home / "terms", number, None, 3600.0)
        host.until("progress")
        started = time.perf_counter()
        host.process.send_signal(signal.SIGTERM)
        ended = host.until("ended")
        told.append(time.perf_counter() - started)
        assert ended is not None
        assert ended["checkpoint_step"] == ended["last_step"] > 0
        host.process.wait()
        left.append(time.perf_counter() - started)
    print(f"SIGTERM to a committed checkpoint: median {np.median(told):.3f} s, most {max(told):.3f} s ({count} times)")
    print(f"SIGTERM to the process gone:       median {np.median(left):.3f} s, most {max(left):.3f} s")


def sizes(home: Path, megabytes: list[int]) -> None:
    import jax

    from trainer import checkpoint
    from trainer.checkpoint.snapshot import state_from, take_snapshot
    from trainer.layout import Layout
    from trainer.storage import storage_at

    for size in megabytes:
        rows = size * 250_000 // 1000
        state = {f"array{n}": jax.numpy.full((rows // 10, 1000), float(n)) for n in range(10)}
        jax.block_until_ready(state)
        folder = home / f"size-{size}"
        writer = checkpoint.Writer(storage_at(folder), keep=checkpoint.Keep(), first_step=0)
        started = time.perf_counter()
        writer.submit(take_snapshot(state, Layout({}), step=1, counters={"checkpoint": 1}, life="0"))
        snapshot = time.perf_counter() - started
        written = writer.take(wait=True)
        assert written is not None
        assert written.failure is None
        started = time.perf_counter()
        restored, _ = checkpoint.restore(folder)
        assert restored is not None
        state_from(restored.arrays, state, "here")
        restore = time.perf_counter() - started
        writer.close()
        print(
            f"{size:6} MB: the loop waits {snapshot:.3f} s, written in {written.seconds:.3f} s, verified and read in {restore:.3f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument("--megabytes", type=int, nargs="*", default=[10, 100, 1000])
    arguments = parser.parse_args()
    os.environ.setdefault("NPROC", "1")
    with tempfile.TemporaryDirectory(prefix="scaling-resume-") as name:
        home = Path(name)
        sizes(home, arguments.megabytes)
        if arguments.terms:
            terms(home, arguments.terms)
        if arguments.kills:
            random_kills(home, arguments.kills)


if __name__ == "__main__":
    main()
