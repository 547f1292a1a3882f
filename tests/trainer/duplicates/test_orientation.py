"""The 8 orientations, against PDQ's own."""

import cv2
import numpy as np
import pytest
from PIL import Image

from trainer.duplicates.orientation import ORIENTATIONS, oriented

PDQ = pytest.importorskip("pdqhash")
LETTER = np.arange(6, dtype=np.uint8).reshape(2, 3)
BY_PILLOW = {
    "as is": [],
    "rotated 90": [Image.Transpose.ROTATE_90],
    "rotated 180": [Image.Transpose.ROTATE_180],
    "rotated 270": [Image.Transpose.ROTATE_270],
    "flipped upside down": [Image.Transpose.FLIP_TOP_BOTTOM],
    "flipped": [Image.Transpose.FLIP_LEFT_RIGHT],
    "flipped and rotated 90": [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90],
    "flipped and rotated 270": [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_270],
}


@pytest.mark.parametrize("orientation", range(8))
def test_the_name_says_what_pillow_does(orientation: int) -> None:
    image = Image.fromarray(LETTER)
    for step in BY_PILLOW[ORIENTATIONS[orientation]]:
        image = image.transpose(step)
    assert np.array_equal(oriented(LETTER, orientation), np.asarray(image))


def test_the_order_is_that_of_pdq() -> None:
    """Row k of PDQ's 8 hashes of a picture is nearest to the hash of the picture turned to k."""
    noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    pixels = cv2.cvtColor(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    rows, _ = PDQ.compute_dihedral(pixels)
    for k in range(8):
        turned, _ = PDQ.compute(np.ascontiguousarray(oriented(pixels, k)))
        distances = (np.stack(rows) != turned).sum(1)
        assert distances.argmin() == k
        assert np.sort(distances)[1] > 90
