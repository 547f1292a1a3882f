"""Alignment finds the box that was cut out, and says nothing where there is none."""

import cv2
import numpy as np
import pytest

from trainer.duplicates.agreement import disagreement, disagreement_beside, textured
from trainer.duplicates.alignment import IDENTITY, aligned, overlap


def texture(seed: int, side: int = 256) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    values = cv2.GaussianBlur(noise, (0, 0), 12) * 8 + cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(values, None, 20, 235, cv2.NORM_MINMAX)


def small(values: np.ndarray) -> np.ndarray:
    return cv2.resize(values, (64, 64), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("top", "bottom", "left", "right"), [(0, 230, 10, 250), (20, 256, 26, 256), (12, 240, 0, 256), (0, 205, 0, 256)]
)
def test_the_box_that_was_cut_out_is_found(top: int, bottom: int, left: int, right: int) -> None:
    whole = texture(1)
    part = whole[top:bottom, left:right] * 0.8 + 30
    frame = aligned(small(whole), small(part))
    assert frame is not None
    truth = (right - left) / 256, left / 256, (bottom - top) / 256, top / 256
    assert np.allclose(frame, truth, atol=0.006)
    one, other, share = overlap(small(whole), small(part), frame)
    assert one.shape == other.shape
    assert share == pytest.approx(truth[0] * truth[2], abs=0.02)
    assert disagreement(one, other).fine < 0.01


def test_nothing_is_moved_where_nothing_is_to_be() -> None:
    values = small(texture(2))
    frame = aligned(values, values)
    assert frame is not None
    assert np.allclose(frame, IDENTITY, atol=1e-3)


def test_other_pictures_disagree_however_they_are_moved() -> None:
    one, other = small(texture(3)), small(texture(4))
    frame = aligned(one, other)
    if frame is not None:
        one, other, _ = overlap(one, other, frame)
    assert disagreement(one, other).fine > 0.1


def test_sharpness_and_brightness_are_fitted_in_both_directions() -> None:
    sharp = small(texture(5))
    soft = cv2.GaussianBlur(sharp, (0, 0), 0.9) * 0.7 + 40
    for pair in ((sharp, soft), (soft, sharp)):
        assert max(disagreement(*pair)[:3]) < 0.01
    assert disagreement(sharp, np.roll(sharp, 2, axis=1)).fine > 0.1


def test_an_overlay_is_left_out_and_only_that() -> None:
    plain = small(texture(6))
    covered = plain.copy()
    covered[10:26, 30:50] = 240
    assert disagreement(plain, covered).fine > 0.1
    found, kept = disagreement_beside(plain, covered)
    assert found.fine < 0.001
    assert not kept[12:24, 32:48].any()
    assert 1 - kept.mean() < 2 * 16 * 20 / 64**2


def test_texture_is_told_from_flat_areas() -> None:
    drawing = np.full((64, 64), 255, np.float32)
    cv2.circle(drawing, (32, 32), 10, 0.0, 2)
    assert textured(small(texture(7))) > 0.6 > 0.5 > textured(drawing)
