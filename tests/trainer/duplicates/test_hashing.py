"""Hashes are of the lowest frequencies, turn with the picture exactly, and stay where a symmetric picture is stored anew."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from tests.trainer.pictures import photo
from trainer.duplicates.comparison import prepared
from trainer.duplicates.hashing import _OFFSET, _offsets, hashes
from trainer.duplicates.orientation import ORIENTATIONS, oriented


def luma(pixels):
    return prepared(pixels).luma


def bits(one, other):
    return int(np.unpackbits(one ^ other).sum())


def test_the_bits_are_the_signs_of_the_lowest_frequencies_less_the_offsets():
    picture = luma(photo(80, 100, 1))
    found, detail = hashes(picture)
    wanted = dctn(picture.astype(float), norm="ortho")[1:17, 1:17].ravel()
    assert bits(found[0], np.packbits(wanted + _offsets() > 0)) <= 2  # PDQ computes in float32
    assert abs(detail - (np.abs(wanted) > 4).sum()) <= 1
    assert set(np.abs(_offsets())) == {_OFFSET}


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_picture_has_the_turned_hash(turn):
    picture = luma(photo(64, 64, 2))
    there = hashes(np.ascontiguousarray(oriented(picture, turn)))[0]
    assert bits(hashes(picture)[0][turn], there[0]) <= 2, ORIENTATIONS[turn]
    assert sum(bits(hashes(picture)[0][other], there[0]) < 60 for other in range(8)) == 1


def test_copies_of_photographs_and_of_symmetric_pictures_stay_near():
    disc = np.full((200, 300, 3), 255, np.uint8)
    cv2.circle(disc, (150, 100), 70, (200, 30, 30), -1)
    for pixels in (photo(200, 300, 3), disc):
        mine = hashes(luma(pixels))[0][0]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=60)
        stored = np.asarray(Image.open(file))
        smaller = cv2.resize(pixels, (190, 130), interpolation=cv2.INTER_AREA)
        assert [bits(mine, hashes(luma(copy))[0][0]) <= 24 for copy in (stored, smaller)] == [True, True]
    assert bits(hashes(luma(photo(200, 300, 3)))[0][0], hashes(luma(photo(200, 300, 4)))[0][0]) > 60


def test_pictures_that_say_nothing():
    assert hashes(luma(np.full((90, 90, 3), 40, np.uint8)))[1] == 0
    assert hashes(luma(photo(60, 90, 0)))[1] == 0
