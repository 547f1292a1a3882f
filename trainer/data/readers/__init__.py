"""Worker processes that read and prepare examples straight into memory shared with the trainer.

Why not Grain, which has worker processes: `benchmarks/input.py` measures both over the same files. Grain's workers each make whole batches,
so the first batch takes as long as one process needs for it, and a batch of 4,096 photographs is held as often as there are workers; they
send them through named shared memory, which a killed trainer leaves behind in /dev/shm; and they start as copies of `__main__`. Here all
workers fill one batch, the memory has no name (it goes when the last process that holds it goes), and a worker ends when its trainer does,
however that ends. Grain's files (ArrayRecord) are read.
"""

from trainer.data.readers.pool import ReaderPool

__all__ = ["ReaderPool"]
