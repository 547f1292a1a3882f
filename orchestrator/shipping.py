"""The files of a user's training program: which make its version, and which are copied for nodes that have not the same ones.

| | |
|---|---|
| `files_of`, `version_of`, `changed_files` | all `*.py`, and what the command names: they are hashed into the runs' ids |
| `Shipment` | the rest of the folder as well, but for what is no source: it is copied to the folder of runs |
| `working_folder` | where an attempt starts: in the folder, or in the copy of it |
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from orchestrator.home import make_folder
from scaling.errors import UsageError

__all__ = ["Shipment", "changed_files", "files_of", "version_of", "working_folder"]

_MOST_BYTES, _MOST_FILES = 100_000_000, 10_000
"""A copy holds so much at most: sources and settings are far smaller, and data have a place of their own."""

_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})
_MARK = ".scaling-programs"
_MARKS = ("pyvenv.cfg", _MARK)
"""Files of folders that are left out: of installed packages, and of the copies of programs, which may lie below the program itself."""
_OF_RUNS = re.compile(r"[0-9a-f]{12}|compile-cache|probe")
"""What a folder of runs holds beside the copies of programs."""
_IGNORE_FILES = (".gitignore", ".rayignore")
_NAMED = 3


def files_of(folder: Path, command: Sequence[str]) -> list[Path]:
    """List the files that make a program: all `*.py` below the folder, and the files in it that the command names; paths in the folder, sorted.

    Folders whose name begins with a point are left out, and so are installed packages, folders of runs and copies of programs.
    """
    found = {
        Path(place, name).relative_to(folder) for place, _, names in _sources(folder) for name in names if name.endswith(".py")
    }
    for word in command:
        with_name = Path(word)
        if not with_name.is_absolute() and ".." not in with_name.parts and (folder / with_name).is_file():
            found.add(with_name)
    return sorted(found)


def _sources(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk over the folders that may hold sources, as `os.walk` does: a caller may take further ones out of the list."""
    for place, folders, names in os.walk(folder):
        if any(mark in names for mark in _MARKS) or (Path(place) != folder and _is_of_runs(Path(place), folders)):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _LEFT_OUT]
        yield place, folders, names


def _is_of_runs(place: Path, folders: Iterable[str]) -> bool:
    """Say whether this is a folder of runs, of whichever study: the copies of programs in it are marked."""
    return "programs" in folders and (place / "programs" / _MARK).exists()


def version_of(folder: Path, command: Sequence[str]) -> str:
    """Return 16 hex digits of a hash over the names and contents of a program's files."""
    return _hash(folder, files_of(folder, command))


def changed_files(folder: Path, copy: Path, command: Sequence[str]) -> tuple[str, ...]:
    """Name the files of a program that are not as they are in an earlier copy of its folder, with `(new)` or `(gone)` behind those."""
    now, before = set(files_of(folder, command)), set(files_of(copy, command))
    marks = dict.fromkeys(now - before, " (new)") | dict.fromkeys(before - now, " (gone)")
    edited = {path: "" for path in now & before if not _are_equal(folder / path, copy / path)}
    return tuple(f"{path}{mark}" for path, mark in sorted((marks | edited).items()))


def _hash(folder: Path, files: Iterable[Path], links: Iterable[Path] = ()) -> str:
    """Return 16 hex digits of a hash over names and contents of files, and over where links lead."""
    digest = hashlib.sha256()
    for path in files:
        content = (folder / path).read_bytes()
        digest.update(os.fsencode(path.as_posix()) + f"\0{len(content)}\0".encode() + content)
    for path in links:
        digest.update(os.fsencode(f"{path.as_posix()}\0->{_target(folder, path)}\0"))
    return digest.hexdigest()[:16]


def _target(folder: Path, link: Path) -> str:
    """Return where the copy of a link leads: within the copy, or to the same place outside the folder."""
    root, target = folder.resolve(), Path(os.path.realpath(folder / link))  # of links in a circle, the link
    return os.path.relpath(target, (root / link).parent) if target.is_relative_to(root) else str(target)


@dataclass(frozen=True)
class Shipment:
    """Lists what of a program's folder is copied; paths in the folder, sorted.

    program: the files that make its version. others: further files, and `links`; none where there is too much of them.
    too_much: the sentence that says so; else empty.
    """

    folder: Path
    program: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    links: tuple[Path, ...] = ()
    too_much: str = ""

    hint = (
        "write what the program does not read from there into a file .rayignore in that folder, as in a .gitignore; "
        "the program then names data by an absolute path"
    )

    @classmethod
    def of(cls, folder: Path, command: Sequence[str], *, home: Path | None = None, database: Path | None = None) -> Shipment:
        """Look at a folder, by names and sizes alone, until it is seen to be too much.

        home: the folder of runs, and database: the store's file, which are no source wherever they lie.
        """
        folder = folder.absolute()
        program = files_of(folder, command)
        seen, links, total = dict[Path, int](), list[Path](), 0
        for path, status in _others(folder, home, database):
            if stat.S_ISLNK(status.st_mode) and path not in program:
                links.append(path)
            elif stat.S_ISREG(status.st_mode):
                seen[path] = status.st_size
                total += status.st_size
            if total > _MOST_BYTES or len(seen) + len(links) > _MOST_FILES:
                return cls(folder, tuple(program), too_much=_too_much(folder, seen, total))
        return cls(folder, tuple(program), tuple(sorted(set(seen) - set(program))), tuple(sorted(links)))

    @property
    def count(self) -> int:
        """Count what is copied."""
        return len(self.program) + len(self.others) + len(self.links)

    def copy_to(self, home: Path, version: str | None) -> str:
        """Copy the files into the folder of runs, where every node finds them. Returns the copy's name there, a hash of all that it holds.

        version: of the program as it was planned. Raises `UsageError` where it has been edited since, or the disk refuses the copy.
        """
        make_folder(copies := home / "programs")
        partial = copies / f"{os.getpid()}-{secrets.token_hex(4)}.part"
        try:
            (copies / _MARK).touch()
            name = self._hash(self.folder)
            if (copies / name).is_dir() and _hash(self.folder, self.program) == version:
                return name
            self._write(partial)
            if _hash(partial, self.program) != version:
                raise UsageError("the program's files were edited while they were submitted", hint="submit again")
            name = self._hash(partial)  # a file that is written to all the time may have changed as it was copied
            try:
                partial.rename(copies / name)
            except OSError:
                if not (copies / name).is_dir():  # else another one was first
                    raise
            return name
        except OSError as error:
            raise UsageError(
                f"the program's folder {self.folder} cannot be copied into {copies}: {error}",
                hint="name another folder of runs with --home or SCALING_HOME, or leave out files by .rayignore",
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def edited_since(self, copy: Path) -> list[Path]:
        """List the files that make no version and are not as they are in an earlier copy, where that has them."""
        return [path for path in self.others if (copy / path).is_file() and not _are_equal(self.folder / path, copy / path)]

    def _hash(self, folder: Path) -> str:
        there = [path for path in self.others if os.access(folder / path, os.R_OK)]
        return _hash(folder, sorted([*self.program, *there]), [path for path in self.links if (folder / path).is_symlink()])

    def _write(self, target: Path) -> None:
        target.mkdir(parents=True)
        for path in chain(self.program, self.others, self.links):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            if path in self.links:
                (target / path).symlink_to(_target(self.folder, path))
            elif path in self.program or os.access(self.folder / path, os.R_OK):  # the program could not read it either
                shutil.copy2(self.folder / path, target / path)


def _others(folder: Path, home: Path | None, database: Path | None) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield what lies in a folder and is taken for source, each with its status; of links their own."""
    patterns = {name: _patterns_above(folder, name) for name in _IGNORE_FILES}
    root, runs = folder.resolve(), home.resolve() if home else None
    store = database.resolve() if database else None
    for text, folders, names in _sources(folder):
        if "conda-meta" in folders:
            folders.clear()
            continue
        place = Path(text)
        here = root / place.relative_to(folder)
        if here == runs or _is_of_runs(place, folders):  # the program's folder is that of its runs
            folders[:] = [name for name in folders if name != "programs" and not _OF_RUNS.fullmatch(name)]
        for name in _IGNORE_FILES:
            if name in names:
                patterns[name].append(_patterns(place, name))
        taken = []
        for name in folders:
            if here / name == runs or _is_ignored(place / name, patterns, is_folder=True):
                continue
            if (place / name).is_symlink():
                yield (place / name).relative_to(folder), (place / name).lstat()
            else:
                taken.append(name)
        folders[:] = taken
        for name in names:
            if store is not None and here == store.parent and name.startswith(store.name):
                continue
            if not _is_ignored(place / name, patterns, is_folder=False):
                with suppress(OSError):  # it has gone meanwhile
                    yield (place / name).relative_to(folder), (place / name).lstat()


_Patterns = tuple[Path, GitIgnoreSpec]


def _patterns(place: Path, name: str) -> _Patterns:
    """Read what an ignore file says; a line that is no pattern says nothing, as in git."""
    lines = []
    with suppress(OSError):
        lines = (place / name).read_text(errors="replace").splitlines()
    return place, GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    with suppress(ValueError, re.error):
        GitIgnoreSpec.from_lines([line])
        return True
    return False


def _patterns_above(folder: Path, name: str) -> list[_Patterns]:
    """Read the ignore files above a folder, down from the root of its git repository; none where these leave out all of the folder."""
    above = [folder, *folder.parents]
    roots = [at for at, place in enumerate(above) if (place / ".git").exists()]
    if not roots or name != ".gitignore":
        return []
    found = [_patterns(place, name) for place in reversed(above[1 : roots[0] + 1])]
    is_left_out = any(
        _is_ignored(place, {name: found[: len(found) - at]}, is_folder=True) for at, place in enumerate(above[: roots[0]])
    )
    return [] if is_left_out else found


def _is_ignored(path: Path, patterns: Mapping[str, Sequence[_Patterns]], *, is_folder: bool) -> bool:
    """Say whether ignore files leave a path out: the deepest that says anything of it, and a .rayignore before a .gitignore."""
    for place, spec in chain.from_iterable(reversed(patterns.get(name, ())) for name in reversed(_IGNORE_FILES)):
        if path.is_relative_to(place):
            said = _said(spec, path.relative_to(place).as_posix() + "/" * is_folder)
            if said is not None:
                return said
    return False


def _said(spec: GitIgnoreSpec, path: str) -> bool | None:
    """Return what the last pattern says that matches a path, and not just a folder above it, as git has it; None where none does."""
    above, name = os.path.split(path.rstrip("/"))
    for pattern in reversed(list(spec.patterns)):
        if pattern.include is not None and pattern.match_file(path):
            is_of_above = above and pattern.match_file(f"{above}/")
            if not is_of_above or pattern.match_file(name + path[len(path.rstrip("/")) :]):
                return pattern.include
    return None


def _too_much(folder: Path, seen: Mapping[Path, int], total: int) -> str:
    if total > _MOST_BYTES:
        most = _size(_MOST_BYTES)
        largest = sorted(seen, key=lambda path: seen[path], reverse=True)[:_NAMED]
        named = [f"{os.fsencode(path).decode(errors='replace')} ({_size(seen[path])})" for path in largest]
    else:
        most = f"{_MOST_FILES:,} files"
        counts = Counter(path.parts[0] for path in seen)
        named = [f"{os.fsencode(name).decode(errors='replace')} ({count:,})" for name, count in counts.most_common(_NAMED)]
    return f"the program's folder {folder} holds more than {most} to copy for other nodes: among them {', '.join(named)}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit in ("bytes", "kB", "MB") else f"{count:,.1f} {unit}"


def _are_equal(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
    return False


def working_folder(execution: Mapping[str, Any], home: Path | None, command: Iterable[str] = ()) -> tuple[Path, str]:
    """Return where a run's program is started, and why not in the experiments file's folder, where it is not.

    It starts there while the program's files are as they were planned, else in the copy of the folder. execution: `folder`, `files` (their
    hash) and `copy` (its name, where that is another) of a run's options. Raises `UsageError` where neither is there.
    """
    folder, files = Path(execution["folder"]), execution["files"]
    is_there = folder.is_dir()
    if is_there and version_of(folder, list(command)) == files:
        return folder, ""
    copy = home / "programs" / execution.get("copy", files) if home is not None else None
    if copy is not None and copy.is_dir():
        return (
            copy,
            f"the program's files in {folder} are not as they were planned" if is_there else f"{folder} is not on this node",
        )
    raise UsageError(
        f"the program's files are not as they were planned, neither in {folder} nor in {copy}",
        hint="submit its file again: the runs are planned anew",
    )
