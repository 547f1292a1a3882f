"""The trainer process: trains many runs, one or a pack at a time, and takes commands through a pipe.

    python -P -u -m orchestrator.cluster.host FD      stdin: JSON lines of commands      file descriptor FD: JSON lines of messages

Commands: `{"run": an Assignment}` and `{"stop": token}`; a run of a pack that is asked to stop leaves it. It answers in `Message`s
(`orchestrator.messages`) with the events of `trainer.train` and some of its own. They also go to
`<directory>/events.jsonl`, so that nothing is lost when nobody listens. What the training prints goes to `<directory>/log.txt`.

The pipe also ends the process: when stdin ends (its owner died), the run is checkpointed and the process leaves. SIGTERM does the same.
A process that hangs cannot do so, and would keep its devices for ever. So without an owner it is ended when it has given no sign of life
for fifteen minutes and for twenty times its longest silence before.

A run may be trained by several such processes: each is given the same command with its own `group`. Process 0
tells of the training; the others say only `Placed`, `Left` when they are done, and `Raised`. A stop asked of one stops all, at one
step. Whoever hosts them must kill the others when one dies.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from orchestrator.cluster.missing import enter, is_in, is_missing
from orchestrator.cluster.spool import Spool
from orchestrator.cluster.trainers import Trainee, trainer_of
from orchestrator.messages import Alive, Assignment, Message, Raised
from scaling.errors import DataFault, ScalingError, UsageError
from scaling.fault_points import ARMED
from trainer.config import TrainConfig
from trainer.events import Event
from trainer.fault_trace import FaultTrace

__all__ = ["main", "set_aside"]

_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)
_ALIVE_SECONDS = 5.0
"""How often a training tells `Alive` when it has no other event."""
_SILENCE_SECONDS, _LONGEST_SILENCES = 900, 20
"""How long a process without an owner may give no sign of life, and how many times its longest silence so far, at least. Compiling gives
none, nor do the steps that a device has still to come to, nor the writing of the last checkpoint."""


class _Stop:
    """Records which runs were asked to stop: a run by its token; every run when stdin ends or a signal comes.

    heard: when a training gave its last sign of life, or began, by `time.monotonic`. longest: seconds of its longest silence.
    """

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self.all = False
        self.begin()

    def begin(self) -> None:
        """Note that a training begins."""
        self.heard, self.longest = time.monotonic(), 0.0

    def hear(self) -> None:
        """Note a sign of life of the training."""
        now = time.monotonic()
        self.heard, self.longest = now, max(self.longest, now - self.heard)

    def add(self, token: str) -> None:
        self._tokens.add(token)

    def covers(self, token: str) -> bool:
        return self.all or token in self._tokens


def main(events_fd: int) -> None:
    """Serve commands until stdin ends."""
    commands: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    stop = _Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(stop, "all", True))
    threading.Thread(target=_listen, args=(commands, stop), daemon=True).start()
    with os.fdopen(events_fd, "w", buffering=1) as pipe:
        while (command := commands.get()) is not None:
            _serve(Assignment.from_dict(command["run"]), stop, pipe)
            if stop.all:
                return  # whoever told the process to stop meant the next run too; its owner starts a fresh one


def _listen(commands: SimpleQueue[dict[str, object] | None], stop: _Stop) -> None:
    for line in sys.stdin:
        try:
            command = json.loads(line)
        except ValueError:
            break  # cut off: its owner died as it wrote
        if "stop" in command:
            stop.add(command["stop"])
        else:
            commands.put(command)
    stop.all = True
    commands.put(None)
    _await_silence(stop)
    os._exit(1)


def _await_silence(stop: _Stop) -> None:
    """Wait until a training without an owner has been silent for too long.

    Seconds are counted one by one, so that those of a frozen machine are not.
    """
    silent, heard = 0, stop.heard
    while silent < max(_SILENCE_SECONDS, _LONGEST_SILENCES * stop.longest):
        time.sleep(1.0)
        silent, heard = (silent + 1, heard) if stop.heard == heard else (0, stop.heard)


class _Teller:
    """Sends events of the runs of one assignment: to the pipe, with the token of their run, and to the records in that run's folder."""

    def __init__(self, tokens: Sequence[str], stop: _Stop, pipe: TextIO) -> None:
        stop.begin()
        self._started, self._stop, self._pipe = stop.heard, stop, pipe
        self._spools: dict[str, Spool] = {}
        self._fault_traces: dict[str, FaultTrace] = {}
        self._open = list(tokens)

    def record(self, token: str, spool: Spool, fault_trace: FaultTrace | None) -> None:
        """Set where a run's events are written down; under fault injection process 0 also has a trace."""
        self._spools[token] = spool
        if fault_trace is not None:
            self._fault_traces[token] = fault_trace

    def tell(self, token: str, event: Event) -> None:
        self._stop.hear()
        message = Message(event=event, token=token, elapsed=self._stop.heard - self._started)
        line = json.dumps(message.to_dict()) + "\n"
        if token in self._fault_traces:
            self._fault_traces[token].saw(event)
        if token in self._spools and not isinstance(event, Alive):
            self._spools[token].write(line)
        if event.is_last:
            self._open.remove(token)
        try:
            self._pipe.write(line)
        except BrokenPipeError:
            self._stop.all = True  # nobody listens: the spool has it all, and the end of stdin ends the run

    def tell_rest(self, event: Event) -> None:
        """Send an event for every run that has not told its end."""
        for token in list(self._open):
            self.tell(token, event)

    @property
    def wrote(self) -> bool:
        """Say whether the folder of any run was there to write to."""
        return bool(self._spools)

    def close(self) -> None:
        for spool in self._spools.values():
            spool.close()
        for fault_trace in self._fault_traces.values():
            fault_trace.close()


def _serve(assignment: Assignment, stop: _Stop, pipe: TextIO) -> None:
    """Train a run, or a pack of them; every ending becomes an event."""
    members = assignment.members
    teller = _Teller(assignment.tokens, stop, pipe)
    try:
        entered = [_open_folder(member, teller) for member in members]
        with _log_of(assignment).open("a", buffering=1) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        for member in members[1:]:
            with suppress(OSError):  # what a pack prints is in the log of each: one file under several names
                os.link(_log_of(assignment), _log_of(member))
        _train(entered, stop, teller)
    except BaseException as error:  # noqa: BLE001 - the edge of the process: it must say how it ended
        teller.tell_rest(
            Raised(
                reason=_reason(error),
                out_of_memory=_is_out_of_memory(error),
                storage=_is_storage(error, members) or (teller.wrote and is_missing(members)),
                missing=is_missing(members),
                of_the_group=assignment.group is not None and _may_be_a_peers_fault(error),
                of_the_pack=len(members) > 1,
                of_the_data=isinstance(error, DataFault),
            )
        )
        with suppress(OSError):
            traceback.print_exc()
    finally:
        teller.close()


def _open_folder(run: Assignment, teller: _Teller) -> Assignment:
    """Make the folder and its records. Returns the assignment with the place where its checkpoint is, as `enter` does."""
    directory = Path(run.directory)
    if run.group is None:  # several would do it to one another
        set_aside(directory, run.token)
    entered = enter(run)
    spool = Spool(directory / f"events{f'-{run.index}' if run.index else ''}.jsonl")
    teller.record(run.token, spool, FaultTrace(directory, run.token) if ARMED and run.index == 0 else None)
    return entered


def _log_of(run: Assignment) -> Path:
    return Path(run.directory) / f"log{f'-{run.index}' if run.index else ''}.txt"


def set_aside(directory: Path, token: str) -> None:
    """Rename an attempt's folder that already holds events of another attempt.

    An attempt's folder is new, unless its database was put back to an earlier state. Then it may hold files of an attempt that the
    database has no longer.
    """
    try:
        with (directory / "events.jsonl").open(encoding="utf-8") as spool:
            if json.loads(spool.readline() or "{}").get("token") == token:
                return
    except FileNotFoundError:
        return
    except ValueError:
        pass  # cut off in writing its first line: it got nowhere
    number = next(number for number in count(1) if not directory.with_name(f"{directory.name}.old-{number}").exists())
    directory.rename(directory.with_name(f"{directory.name}.old-{number}"))


def _train(runs: Sequence[Assignment], stop: _Stop, teller: _Teller) -> None:
    from trainer.users_code import look_in

    look_in(runs[0].working_directory)
    configs = [TrainConfig.from_dict(run.config) for run in runs]
    for config, run in zip(configs, runs, strict=True):
        _refuse_other_result(config, run.run)
    trainer = trainer_of(configs[0])
    placed = trainer.prepare(runs[0])
    trainees = []
    for config, run in zip(configs, runs, strict=True):
        tell = partial(teller.tell, run.token)
        tell(placed)
        trainees.append(Trainee(run, config, tell, _polled(stop, run.token, tell)))
    if left := trainer.train(trainees):
        teller.tell(runs[0].token, left)


def _refuse_other_result(config: TrainConfig, run: str | None) -> None:
    """Raise `UsageError` when the run's id is not the one of this config.

    An earlier version planned the run, and what it computes has changed since, so the id promises another result. A probe has no run.
    """
    if run not in (None, config.run_id()):
        raise UsageError(
            f"run {run} was planned by an earlier version, and this one computes another result from its settings",
            hint="submit its file again: it is planned anew, under another id",
        )


def _polled(stop: _Stop, token: str, emit: Callable[[Event], None]) -> Callable[[], bool]:
    """Return `should_stop` of a training, which also tells every few seconds that the training asks."""
    told = time.monotonic()

    def should_stop() -> bool:
        nonlocal told
        if time.monotonic() - told > _ALIVE_SECONDS:
            told = time.monotonic()
            emit(Alive())
        return stop.covers(token)

    return should_stop


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):  # also of a process without JAX
        return True
    from trainer.memory import is_out_of_memory

    return is_out_of_memory(error)


def _is_storage(error: BaseException, runs: Sequence[Assignment] = ()) -> bool:
    """Say whether the storage failed for a reason that passes: a full disk, a fault of disk or network, missing folders of `runs`."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    refused = [cause for cause in causes if isinstance(cause, OSError)]
    return any(cause.errno in _PASSING or is_in(cause, runs) for cause in refused)


def _may_be_a_peers_fault(error: BaseException) -> bool:
    """Say whether an error may come from a failed collective, which is how a peer that died shows.

    JAX raises it as its own error or, from Gloo, as a ValueError.
    """
    return type(error).__name__ == "JaxRuntimeError" or "gloo" in str(error).lower()


def _reason(error: BaseException) -> str:
    """Word an error in one line: for our own errors with the hint, for others with their type."""
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, ScalingError):
        return f"{text} ({error.hint})" if error.hint else text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main(int(sys.argv[1]))
