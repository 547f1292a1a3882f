"""Features: what changes a picture little changes them little, and they propose the right one among many."""

import cv2
import numpy as np

from trainer.duplicates.features import LEAST_SIMILARITY, NEIGHBOURS, features


def scenes(count: int, side: int = 28) -> np.ndarray:
    """Smooth random pictures [count, side, side, 1] uint8."""
    noise = np.random.default_rng(0).normal(size=(count, side, side)).astype(np.float32)
    smooth = (cv2.GaussianBlur(each, (0, 0), 2.5) for each in noise)
    return np.stack([cv2.normalize(each, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8) for each in smooth])[..., None]


def test_brightness_and_contrast_drop_out() -> None:
    pixels = scenes(1)[0]
    dimmer = np.rint(pixels * 0.5 + 40).astype(np.uint8)
    assert features(pixels) @ features(dimmer) > 0.999
    assert np.isclose(np.linalg.norm(features(pixels)), 1)
    assert features(pixels).shape == (256,)


def test_a_flat_image_has_none() -> None:
    assert not features(np.full((28, 28, 3), 77, np.uint8)).any()


def test_three_equal_channels_are_grey() -> None:
    pixels = scenes(1)[0]
    assert np.allclose(features(pixels), features(np.repeat(pixels, 3, axis=2)), atol=1e-4)


def test_the_original_is_among_the_nearest() -> None:
    """Copies at 20 px with a patch over a twentieth: the original of each is among its nearest neighbours, by brute force."""
    images = scenes(400)
    held = np.stack([features(each) for each in images])
    for place in range(0, 400, 25):
        copy = cv2.resize(images[place], (20, 20), interpolation=cv2.INTER_AREA)[..., None]
        copy[3:7, 4:9] = 255
        similarity = held @ features(copy)
        assert place in np.argsort(-similarity)[:NEIGHBOURS]
        assert similarity[place] > LEAST_SIMILARITY
