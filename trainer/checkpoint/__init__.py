"""Checkpoints that are whole or absent: arrays, counters and data position in one commit, verified before they are used.

| part | what it holds |
|---|---|
| `files` | what lies in a checkpoint's folder; commit and read |
| `writer` | the thread that writes, and which checkpoints are kept |
| `restore` | the search for the newest sound checkpoint, over all attempts of a run |
| `snapshot` | from and to a state on devices; the only part that needs JAX, and therefore not imported here |
"""

from trainer.checkpoint.files import Damaged, Piece, Snapshot, commit, committed, write_part
from trainer.checkpoint.restore import Restored, describe_attempt, restore
from trainer.checkpoint.writer import Keep, NotFinite, Writer, Written

__all__ = [
    "Damaged",
    "Keep",
    "NotFinite",
    "Piece",
    "Restored",
    "Snapshot",
    "Writer",
    "Written",
    "commit",
    "committed",
    "describe_attempt",
    "restore",
    "write_part",
]
