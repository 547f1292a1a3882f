"""`ProgramTrainer`: a run is trained by a command of the user's, which reports by lines of JSON (`scaling.program`)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cluster.leash import end_group
from orchestrator.cluster.left_over import end_processes, kept_folder
from orchestrator.cluster.reported_checkpoints import go_on_from, note_checkpoint, place_of
from orchestrator.cluster.trainers import Trainee, placed
from orchestrator.messages import Assignment, Died, Placed
from orchestrator.program import SCORES, command_of, why_no_name
from orchestrator.shipping import working_folder
from scaling.errors import UsageError
from scaling.fault_points import ARMED, reached
from scaling.outcomes import AttemptOutcome
from trainer.events import Checkpoint, Ended, Reported, Started
from trainer.result import Seconds, TrainResult

__all__ = ["AGAIN", "ProgramTrainer"]

AGAIN = 75
"""The exit code by which a program asks to be started again, which costs its run nothing: EX_TEMPFAIL of sysexits.h."""

_LOOK_SECONDS = 0.05
_GRACE_SECONDS = 25.0
"""How long a program may take to write a checkpoint after SIGTERM; below the time that the scheduler gives its attempts."""
_POINT_SECONDS, _POINTS = 1.0, 200
"""The curves get a point every second at most, and then about so many for as long as it has taken so far."""
_LONGEST_LINE = 1 << 20
_LAST_LINES = 20

_SECONDS = ("evaluation_seconds", "checkpoint_seconds")
_LOSSES = ("train_loss", "val_loss")
_COUNTS = ("step", "steps", "examples_seen")
_LARGEST = 2**53
"""Numbers of steps and examples are exact as float64 up to here, and fit into every store."""


def _driver_says() -> str | None:
    """Return the name that NVIDIA's driver has for the first GPU of this process; None where it does not answer."""
    with suppress(OSError, subprocess.SubprocessError):
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
        asked = ["nvidia-smi", f"--id={first}", "--query-gpu=name", "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
        return next(iter(told.stdout.strip().splitlines()), None)
    return None


class ProgramTrainer:
    """Trains runs by a program of the user's."""

    def prepare(self, first: Assignment) -> Placed:
        """Take the devices that the file states: the program finds them by itself, those of GPUs in CUDA_VISIBLE_DEVICES."""
        assert first.resources is not None
        threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
        kind = first.resources.kind
        device = _driver_says() if kind.is_any else None
        return placed(device or kind.name, first.resources.chips, threads=threads, jaxlib_version=None)

    def train(self, runs: Sequence[Trainee]) -> None:
        """Run the program, one run after another: the plan packs none."""
        for run in runs:
            _Training(run).see_through()


@dataclass
class _Reports:
    """Holds what a program has said in this attempt. Times are by `time.monotonic`, which `report` writes into its lines, or as they were read.

    first, last: when its first and its last step were reported. apart: seconds that it said went into evaluation and checkpoints, by name, and
    since its first step how many of them lay between two steps. is_over: it was told that nothing counts after its result.
    """

    step: int
    examples_seen: int | None = None
    steps: int | None = None
    first: float | None = None
    last: float | None = None
    between: float = 0.0
    apart: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SECONDS, 0.0))
    checkpoint_step: int | None = None
    finished: dict[str, float] | None = None
    diverged: bool = False
    unpublished: dict[str, float | None] = field(default_factory=dict)
    train_loss: float | None = None
    is_over: bool = False

    @property
    def train_seconds(self) -> float:
        """Return the seconds from the first step that was reported to the last, less what the program said was no training."""
        return 0.0 if self.first is None or self.last is None else max(0.0, self.last - self.first - self.between)


class _Training:
    """Runs one program to its end, and turns what it reports into events."""

    def __init__(self, run: Trainee) -> None:
        self._run, self._given = run, run.assignment
        self._folder = Path(self._given.directory)
        origin = self._given.resume_from
        self._first_step = (origin.step or 0) if origin else 0
        self._said = _Reports(self._first_step)
        self._checkpoint: str | None = None
        self._places: tuple[Path, ...] = ()
        self._events = self._folder / "program.jsonl"
        self._lines = _Lines(self._events)
        self._published_at = self._heard_at = self._began_at = time.monotonic()
        self._stopped_at: float | None = None
        assert run.config.program is not None
        self._metric = run.config.program.metric

    def see_through(self) -> None:
        """Run it; what it comes to is its last event, or an exception. What earlier attempts left on this machine is killed first.

        Raises `UsageError` for a report that cannot be, and for a program that ends without its result.
        """
        options = self._given.options.execution
        silence = float(options.get("silence_seconds", 300.0))
        startup = float(options.get("startup_seconds", max(silence, 3600.0)))  # runs of earlier versions do not state it
        assert self._run.config.program is not None
        home = Path(self._given.home).parent if self._given.home else None
        folder, elsewhere = working_folder(options, home, self._run.config.program.command)
        if elsewhere:
            print(
                f"this attempt starts in {folder}, a copy of the folder as it was submitted: {elsewhere}",
                file=sys.stderr,
                flush=True,
            )
        kept = kept_folder(self._folder)
        kept.mkdir(exist_ok=True)
        self._places = (folder, kept)
        if (origin := self._given.resume_from) is not None:
            self._checkpoint, remark = go_on_from(Path(origin.directory), self._first_step, self._places)
            if remark:
                print(remark, flush=True)
        if count := end_processes(self._folder):
            print(f"{count} processes of earlier attempts of this run were still here; killed", flush=True)
        self._events.touch()
        group = self._folder / "group"
        leash = [sys.executable, "-P", "-m", "orchestrator.cluster.leash", str(group), *command_of(self._run.config)]
        process = subprocess.Popen(leash, stdin=subprocess.PIPE, text=True, cwd=folder, env=os.environ | self._environment(kept))
        try:
            while process.poll() is None:
                self._hear()
                if self._said.diverged or self._lingers(silence):
                    break
                self._let_stop(process)
                if (why := self._silent(silence, startup)) is not None:
                    self._publish()
                    self._run.tell(Died(reason=why, signal=None))
                    return
                time.sleep(_LOOK_SECONDS)
            self._hear(ended=process.poll() is not None)
        finally:
            code = _end(process)
            if code < 0:  # the leash itself was killed
                end_group(group)
                end_processes(self._folder)
        self._publish()
        self._conclude(code)

    def _environment(self, kept: Path) -> dict[str, str]:
        resources = self._given.resources
        assert resources is not None
        told = {"accelerator": resources.accelerator, "chips": resources.chips, "cores": resources.cores}
        environment = {
            "SCALING_RUN": str(kept),
            "SCALING_ATTEMPT": self._folder.name,
            "SCALING_RESOURCES": json.dumps(told),
            "SCALING_EVENTS": str(self._events),
            "PYTHONUNBUFFERED": "1",
        }
        return environment | ({} if self._checkpoint is None else {"SCALING_CHECKPOINT": self._checkpoint})

    # -- what it says ------------------------------------------------------------------------------------------------------------

    def _hear(self, *, ended: bool = False) -> None:
        said = self._said
        try:
            for number, line in self._lines.new(ended=ended) if not said.is_over else ():
                if said.diverged or said.finished is not None:
                    return self._ignore(f"report {number}")
                self._heard_at = time.monotonic()
                report = _read(line, number)
                at = report.pop("at", self._heard_at)
                self._take(report, number, at if self._began_at <= at <= self._heard_at else self._heard_at)
        except UsageError:
            if said.finished is None:
                self._publish()  # what came before the refused report counts
                raise
            self._ignore("what was reported last")
        if time.monotonic() - self._published_at > max(_POINT_SECONDS, (time.monotonic() - self._began_at) / _POINTS):
            self._publish()

    def _ignore(self, what: str) -> None:
        """Take no more reports: the result was told before, or a loss that is not finite. The run's log says so."""
        self._said.is_over = True
        told = "its result" if self._said.finished is not None else "a loss that was not finite"
        print(f"{what} does not count, and nothing after it: the program had reported {told} before", flush=True)

    def _take(self, report: dict[str, Any], number: int, at: float) -> None:
        said = self._said
        step, examples = report.pop("step", None), report.pop("examples_seen", None)
        checkpoint, finished = report.pop("checkpoint", None), report.pop("finished", False)
        if (steps := report.pop("steps", None)) is not None:
            said.steps = int(steps)
        if step is not None:
            self._take_step(int(step), number, at)
        if examples is not None:
            said.examples_seen = int(examples)
        for name in _SECONDS:
            seconds = float(report.pop(name, 0.0))
            said.apart[name] += seconds
            said.between += seconds if said.first is not None else 0.0
        said.unpublished |= {name: value if math.isfinite(value) else None for name, value in report.items()}
        said.diverged |= any(not math.isfinite(report.get(name, 0.0)) for name in (*_LOSSES, self._metric))
        said.train_loss = report.get("train_loss", said.train_loss)
        if finished:
            if self._metric not in report:
                raise UsageError(
                    f"report {number}: the program finished without {self._metric}",
                    hint=f"report(finished=True, {self._metric}=…), or name another with `metric` of `trainer` in the file",
                )
            said.finished = dict(report)
        if checkpoint is not None:
            self._take_checkpoint(checkpoint, number)

    def _take_step(self, step: int, number: int, now: float) -> None:
        said = self._said
        if said.first is None:
            said.first, said.step = now, step
            self._first_step = step  # where it says that it went on from, which may be before its checkpoint
            self._run.tell(Started(step=step, steps=said.steps or 0))
        elif step < said.step:
            raise UsageError(f"report {number}: the step went back from {said.step} to {step}")
        said.step, said.last = step, now
        reached("step")

    def _take_checkpoint(self, path: str, number: int) -> None:
        said = self._said
        self._publish()
        if (place := place_of(path, self._places)) is None:
            print(f"report {number}: the checkpoint {path[:500]!r} is not there, and does not count", flush=True)
            return
        said.checkpoint_step, self._checkpoint = said.step, place
        reached("checkpoint-drafted")
        note_checkpoint(self._folder, said.step, place)
        reached("checkpoint-committed")
        seconds = said.apart["checkpoint_seconds"]
        digest = _digest(place) if ARMED else None
        self._run.tell(Checkpoint(step=said.step, train_seconds=said.train_seconds, checkpoint_seconds=seconds, digest=digest))

    def _publish(self) -> None:
        """Tell what was reported since the last time."""
        said = self._said
        self._published_at = time.monotonic()
        if said.first is not None:
            told, said.unpublished = said.unpublished, {}
            self._run.tell(Reported(step=said.step, steps=said.steps, train_seconds=said.train_seconds, metrics=told))

    # -- how it ends -------------------------------------------------------------------------------------------------------------

    def _let_stop(self, process: subprocess.Popen[str]) -> None:
        if self._stopped_at is None and self._run.should_stop():
            self._stopped_at = time.monotonic()
            _say(process, "stop\n")
        elif self._stopped_at is not None and time.monotonic() - self._stopped_at > _GRACE_SECONDS:
            _end(process)
        else:
            self._run.should_stop()  # which tells that this process is at work

    def _lingers(self, limit: float) -> bool:
        """Say whether it has reported its result a while ago, and is there still."""
        return self._said.finished is not None and time.monotonic() - self._heard_at > min(_GRACE_SECONDS, limit)

    def _silent(self, limit: float, startup: float) -> str | None:
        silent, has_begun = time.monotonic() - self._heard_at, self._said.first is not None
        if self._said.finished is not None or silent <= (limit if has_begun else startup):
            return None
        before = "" if has_begun else ", before its first step"
        return f"hung: the program reported nothing for {silent:.0f} s{before}; killed"

    def _conclude(self, code: int) -> None:
        said = self._said
        if said.diverged:
            self._ended(AttemptOutcome.DIVERGED, f"the program reported a loss that is not finite, at step {said.step}")
        elif said.finished is not None:
            self._ended(AttemptOutcome.FINISHED, "")
        elif self._stopped_at is not None:
            self._ended(AttemptOutcome.INTERRUPTED, "asked to stop")
        elif code == AGAIN:
            self._ended(AttemptOutcome.INTERRUPTED, f"the program asked to be started again (exit code {AGAIN})")
        elif code == 0:
            raise UsageError(
                "the program ended without its result", hint=f"its last report is report(finished=True, {self._metric}=…)"
            )
        else:
            # A signal of the leash took the program along; beyond 128 it is the program's.
            number = -code if code < 0 else code - 128 if code > 128 else None
            how = f"was killed by signal {number}" if number else f"left with exit code {code}"
            lines = self._last_lines()
            last = f"; its last line: {lines[-1]}" if lines else ""
            more = lines if len(lines) > 1 else []
            self._run.tell(Died(reason="\n".join([f"the program {how}{last}", *more]), signal=number))

    def _ended(self, outcome: AttemptOutcome, reason: str) -> None:
        said = self._said
        scores = (said.finished or {}) if outcome is AttemptOutcome.FINISHED else {}
        seconds = said.apart
        result = TrainResult(
            outcome=outcome,
            reason=reason,
            first_step=self._first_step,
            last_step=said.step,
            checkpoint_step=said.checkpoint_step,
            examples_seen=said.examples_seen or 0,
            seconds=Seconds(
                train=said.train_seconds, evaluation=seconds["evaluation_seconds"], checkpoint=seconds["checkpoint_seconds"]
            ),
            scores={name: value for name, value in scores.items() if name not in SCORES},
            **{"train_loss": said.train_loss} | {name: scores[name] for name in SCORES if name in scores},
        )
        reached("result-written")
        self._run.tell(Ended(step=said.step, result=result))

    def _last_lines(self) -> list[str]:
        with suppress(OSError), (self._folder / "log.txt").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65_536))
            lines = log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
            return [
                "".join(each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in line[:500])
                for line in lines
            ]
        return []


class _Lines:
    """Reads a file as it grows, line by line."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._number = path, 0, 0
        self._rest = b""

    def new(self, *, ended: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that are whole since the last call, each with its number from 1. Raises `UsageError` for one of a megabyte.

        ended: nothing more will be written, so that a last report without a newline is one, unless it was cut off.
        """
        with self._path.open("rb") as file:
            file.seek(self._at)
            while content := file.read(_LONGEST_LINE):
                self._at += len(content)
                *lines, self._rest = (self._rest + content).split(b"\n")
                for line in lines:
                    self._number += 1
                    yield self._number, line
                if len(self._rest) > _LONGEST_LINE:
                    raise UsageError(f"report {self._number + 1}: a line of more than {_LONGEST_LINE:,} bytes is no report")
        if ended and self._rest:
            with suppress(ValueError, RecursionError):
                json.loads(self._rest)
                yield self._number + 1, self._rest


def _read(line: bytes, number: int) -> dict[str, Any]:
    """Read a report. Raises `UsageError` for what is none, and for a metric that is called like a column of ours."""
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict):
        shown = line[:60].decode(errors="replace")
        raise UsageError(f"report {number}: {shown!r} is no JSON object", hint='a line is {"step": 10, "train_loss": 2.3}')
    for name, value in report.items():
        if name not in (*_COUNTS, *SCORES, *_SECONDS) and (why := why_no_name(name)) is not None:
            raise UsageError(f"report {number}: {name[:60]!r} {why}, and no name for a metric", hint="call the metric otherwise")
        if (wrong := _what_is_wrong(name, value)) is not None:
            raise UsageError(f"report {number}: {name} is {repr(value)[:60]}, which is {wrong}")
    return report


def _what_is_wrong(name: str, value: object) -> str | None:
    """Say why a value cannot be that of a field of a report; None where it can."""
    if name == "finished":
        return None if isinstance(value, bool) else "not true or false"
    if name == "checkpoint":
        return None if isinstance(value, str) and value else "no path"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "no number"
    if name in _COUNTS:
        whole = isinstance(value, int) or value.is_integer()
        return None if whole and 0 <= value <= _LARGEST else f"no count of {'examples' if name == 'examples_seen' else 'steps'}"
    if name in _SECONDS:
        return None if 0 <= value <= _LARGEST else "no number of seconds"
    return None if isinstance(value, float) or abs(value) <= sys.float_info.max else "no number that a float can hold"


def _digest(path: str) -> str | None:
    """Return 16 hex digits of a hash over a checkpoint that is one file; by these an interrupted run is compared with an undisturbed one."""
    with suppress(OSError):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    return None


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(line)
        process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> int:
    """Let go of the leash, which kills the program's group if it is there still; return the exit code."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    return process.wait()
