"""Data sets of someone's own, as reader processes import them: nothing slow here."""

import errno
import os
import time

import numpy as np

SIZE = 64


class Normalised:
    """Float32 pixels, which are given to the network as they are: those of example i are i, but for one that tells the channels apart."""

    def __init__(self, count, first=1):
        self.count, self.first = count, first

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = np.full((4, 4, 2), self.first + index, np.float32)
        image[0, 0] = (-0.5, 0.25)
        return {"image": image, "label": index % 3, "id": index}


class Flat:
    """Example k is a grey image of value k; `trouble` is what example 40 does, `gone` what all from 24 on do."""

    def __init__(self, trouble=None):
        self.trouble = trouble

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        if index == 40 and self.trouble == "raise":
            raise ZeroDivisionError("a defect of the data set")
        if index == 40 and self.trouble == "die":
            os._exit(7)
        if index == 40 and self.trouble == "disk":
            raise OSError(errno.ESTALE, "Stale file handle")
        if index >= 24 and self.trouble == "gone":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if self.trouble == "slow":
            time.sleep(0.002)
        return {"image": np.full((20, 20, 3), index, np.uint8), "label": index % 3, "id": index}
