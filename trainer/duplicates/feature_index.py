"""`FeatureIndex`: the nearest of many unit vectors, without looking at all of them.

faiss's inverted file: vectors are grouped about centres, and a query looks into the groups whose centres are nearest to it.
Below `_EXACT_BELOW` vectors all of them are looked at, which is as quick.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from scaling.extras import needed_for

__all__ = ["FeatureIndex"]

_EXACT_BELOW = 4096
_GROUPS_LOOKED_AT = 24
_SAMPLE_A_GROUP = 64
_SEED = 0


class FeatureIndex:
    """Indexes unit vectors [n, d], of which it keeps float16: 2 d bytes each."""

    def __init__(self, vectors: np.ndarray) -> None:
        faiss = _faiss()
        count, dimensions = vectors.shape
        self._count = count
        if count < _EXACT_BELOW:
            self._index: Any = faiss.IndexFlatIP(dimensions)
        else:
            groups = int(2 * count**0.5)
            self._coarse = faiss.IndexFlatIP(dimensions)
            self._index = faiss.IndexIVFScalarQuantizer(
                self._coarse, dimensions, groups, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
            )
            self._index.nprobe = min(_GROUPS_LOOKED_AT, groups)
            clustering = self._index.cp
            clustering.niter, clustering.max_points_per_centroid, clustering.min_points_per_centroid = 8, _SAMPLE_A_GROUP, 1
            clustering.seed = _SEED
            sample = np.random.default_rng(_SEED).permutation(count)[: _SAMPLE_A_GROUP * groups]
            self._index.train(np.ascontiguousarray(vectors[np.sort(sample)], np.float32))
        for first in range(0, count, 65_536):
            self._index.add(np.ascontiguousarray(vectors[first : first + 65_536], np.float32))

    def search(self, vectors: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest of each query [q, d]: their numbers [q, k] int64, −1 where there are fewer, and the cosines [q, k] float32."""
        cosines, numbers = self._index.search(np.ascontiguousarray(vectors, np.float32), min(neighbours, self._count))
        return numbers, cosines


@cache
def _faiss() -> Any:
    with needed_for("features of images need"):
        import faiss
    return faiss
