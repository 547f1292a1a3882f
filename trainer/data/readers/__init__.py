"""Worker processes that read and prepare examples straight into memory shared with the trainer.

Why not Grain 0.2.18, which has worker processes too (`benchmarks/input.py` runs both over the same files):

- There each worker makes whole batches. So the first batch takes as long as a single process needs, and a batch of 4,096 photographs is
  held as often as there are workers.
- When the trainer was killed, its workers were seen to live on and its batches to stay in /dev/shm.

Here all workers fill one batch. The memory has no name, so it goes with the last process that holds it. A worker ends with its trainer,
however that ends; and one that dies is told by its exit code. Grain's file format, ArrayRecord, is read.
"""

from trainer.data.readers.pool import ReaderPool

__all__ = ["ReaderPool"]
