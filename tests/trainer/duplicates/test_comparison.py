"""The comparison that decides: what Pillow did to a picture changes nothing, and another picture is refused."""

import io
import pickle
from itertools import combinations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from trainer.duplicates.comparison import compare, prepared
from trainer.duplicates.orientation import ORIENTATIONS, oriented

SKLEARN = pytest.importorskip("sklearn.datasets")


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    """Two photographs of scikit-learn, and a second part of each: four pictures that have nothing to do with each other.

    The first two are textured all over, the others are out of focus in parts.
    """
    whole = [Image.fromarray(each) for each in SKLEARN.load_sample_images().images]
    return [each.crop(box) for each in whole for box in ((0, 0, 320, 213), (320, 213, 640, 427))]


def again(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return Image.open(file).convert(image.mode)


def pixels(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    return values if values.ndim == 3 else values[..., None]


CHANGES = {
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "larger": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "another aspect ratio": lambda image: image.resize((160, 160), Image.Resampling.BILINEAR),
    "JPEG of quality 30": lambda image: again(image, "JPEG", 30),
    "WebP of quality 40": lambda image: again(image, "WEBP", 40),
    "brighter": lambda image: image.point(lambda value: value * 0.9 + 25),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.75),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image: image.convert("L"),
    "cropped": lambda image: image.crop((20, 15, image.width - 10, image.height - 8)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("orientation", [0, 1, 5])
def test_a_changed_and_turned_picture_is_found(photographs: list[Image.Image], change: str, orientation: int) -> None:
    for image in photographs[:2] if change == "cropped" else photographs:
        other = np.ascontiguousarray(oriented(pixels(CHANGES[change](image)), orientation))
        for a, b in ((image, other), (other, image)):
            found = compare(*(prepared(each if isinstance(each, np.ndarray) else pixels(each)) for each in (a, b)))
            assert found.is_duplicate
            assert 0 <= found.distance <= 1
        assert compare(prepared(pixels(image)), prepared(other)).orientation == ORIENTATIONS[orientation]


def test_other_pictures_are_refused(photographs: list[Image.Image]) -> None:
    for place, one in enumerate(photographs):
        for other in photographs[place + 1 :]:
            assert not compare(prepared(pixels(one)), prepared(pixels(other))).is_duplicate


def test_a_negative_is_refused(photographs: list[Image.Image]) -> None:
    assert not compare(prepared(pixels(photographs[0])), prepared(255 - pixels(photographs[0]))).is_duplicate


def test_a_picture_in_another_colour_is_refused(photographs: list[Image.Image]) -> None:
    """Red and blue change places; luma hardly does where a picture is green, so it is the colour that tells."""
    image = pixels(photographs[0]).copy()
    stronger = np.clip(image.astype(int) + np.array([60, 0, -60]), 0, 255).astype(np.uint8)
    assert not compare(prepared(stronger), prepared(np.ascontiguousarray(stronger[..., ::-1]))).is_duplicate


@pytest.mark.parametrize("side", [28, 200])
def test_flat_pictures_are_copies_only_if_they_are_the_same(side: int) -> None:
    flat = np.full((side, side, 3), (200, 10, 10), np.uint8)
    assert compare(prepared(flat), prepared(flat)).distance == 0
    for other in (np.full_like(flat, 9), flat[: side // 2], flat[..., :1]):
        found = compare(prepared(flat), prepared(other))
        assert not found.is_duplicate
        assert found.distance == np.inf


def test_what_is_prepared_is_small_and_pickles(photographs: list[Image.Image]) -> None:
    ready = prepared(pixels(photographs[0].resize((2000, 1500))))
    stored = pickle.dumps(ready)
    assert len(stored) < 6000
    assert compare(pickle.loads(stored), ready).distance == 0


def test_tiny_pictures_are_copies_only_as_they_are_turned_or_flipped() -> None:
    digits = SKLEARN.load_digits().images[:120].astype(np.uint8) * 15
    images = [prepared(image[..., None]) for image in digits]
    assert not any(compare(one, other).is_duplicate for one, other in combinations(images, 2))  # each by a hand of its own
    for k, name in enumerate(ORIENTATIONS):
        turned = prepared(np.ascontiguousarray(oriented(images[0].luma, k))[..., None])
        assert compare(images[0], turned).is_duplicate
        assert compare(images[0], turned).orientation == name


def test_small_pictures_made_smaller_and_larger_again_are_found() -> None:
    """Each of 32 windows of photographs at 28 px is paired with itself at 20 px and back, and with no other."""

    def at(values: np.ndarray, side: int, way: int) -> np.ndarray:
        return cv2.resize(values, (side, side), interpolation=way)

    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in SKLEARN.load_sample_images().images]
    small = [
        at(each[top : top + 84, left : left + 84], 28, cv2.INTER_AREA)
        for each in grey
        for top in range(0, 316, 97)
        for left in range(0, 516, 131)
    ]
    ready = [prepared(each[..., None]) for each in small]
    softened = [prepared(at(at(each, 20, cv2.INTER_AREA), 28, cv2.INTER_CUBIC)[..., None]) for each in small]
    found = np.array([[compare(one, other).is_duplicate for other in softened] for one in ready])
    assert np.array_equal(found, np.eye(len(small), dtype=bool))
