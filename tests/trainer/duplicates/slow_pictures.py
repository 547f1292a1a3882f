"""Pictures that take their time, and write down who read them: for processes that are killed."""

import os
import time

import numpy as np

from trainer.data.dataset import BadExample


class Slow:
    def __init__(self, reads, seconds):
        self.reads, self.seconds = reads, seconds

    def __len__(self):
        return 64

    def __getitem__(self, index):
        if self.reads:
            with open(self.reads, "a") as file:
                file.write(f"{index} {os.getpid()}\n")
        time.sleep(self.seconds)
        if index == 13:
            raise BadExample("bad luck")
        return {"image": np.random.default_rng(index).integers(0, 256, (70, 70, 3), np.uint8), "label": 0, "id": index}
