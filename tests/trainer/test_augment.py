"""What is done to an image: held against published formulas, Pillow, and itself done again."""

import dataclasses
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from scaling.errors import UsageError
from tests.trainer.pictures import encoded, photo
from trainer.config import AugmentConfig
from trainer.data.dataset import BadExample
from trainer.data.images.crop import Box, center_crop, random_resized_crop, whole
from trainer.data.images.mix import Mixing
from trainer.data.images.picture import picture
from trainer.data.images.preparation import Preparation
from trainer.data.images.randaugment import OPERATIONS, randaugment
from trainer.data.images.randomness import generator
from trainer.data.images.resample import resample


def draws(count, seed=0):
    return (generator(seed, 0, number) for number in range(count))


def test_crops_have_the_areas_and_aspects_of_the_formula():
    """On a large square hardly any draw is rejected: the area's share is uniform in 0.08 … 1 and the aspect log-uniform in 3/4 … 4/3,
    given that both sides fit, which is simulated here from the definition."""
    boxes = np.array([random_resized_crop(4000, 4000, 0.08, rng) for rng in draws(4000)])
    share, aspect = boxes[:, 2] * boxes[:, 3] / 4000**2, boxes[:, 3] / boxes[:, 2]
    rng = np.random.default_rng(0)
    area, log_aspect = rng.uniform(0.08, 1, 400_000), rng.uniform(math.log(3 / 4), math.log(4 / 3), 400_000)
    fits = (area * np.exp(np.abs(log_aspect))) <= 1
    for ours, theirs in ((share, area[fits]), (np.log(aspect), log_aspect[fits])):
        quantiles = np.linspace(0.05, 0.95, 19)
        np.testing.assert_allclose(np.quantile(ours, quantiles), np.quantile(theirs, quantiles), atol=0.03)
    room = 4000 - boxes[:, 2:4]
    place = boxes[:, :2] / (room + 1)
    np.testing.assert_allclose(place.mean(0), 0.5, atol=0.02)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] <= room).all()


def test_a_crop_that_cannot_fit_is_the_largest_centred_one_of_an_allowed_aspect():
    assert random_resized_crop(10, 1000, 1.0, generator(0, 0, 0)) == Box(0, 493, 10, 13)
    assert random_resized_crop(1000, 9, 1.0, generator(0, 0, 0)) == Box(494, 0, 12, 9)
    assert random_resized_crop(1, 1, 0.08, generator(0, 0, 0)) == whole(1, 1)


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (600, 800), (240, 400)])
@pytest.mark.parametrize(("side", "margin", "stated"), [(64, 64 / 7, None), (128, 128 / 7, None), (224, 32, None), (64, 32, 32.0)])
def test_evaluation_is_shorter_side_resized_and_centre_cut_out(size, side, margin, stated):
    """Against the two steps done by Pillow: shorter side to the target's and a margin, then the middle. The box has whole pixels, Pillow's has not."""
    pixels = photo(*size, seed=1)
    height, width = size
    scale = (side + margin) / min(size)
    resized = Image.fromarray(pixels).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (resized.width - side) // 2, (resized.height - side) // 2
    expected = np.asarray(resized.crop((left, top, left + side, top + side)), float)
    box = center_crop(height, width, (side, side), stated)
    np.testing.assert_allclose(np.array(box) * scale, (top, left, side, side), atol=1.1 * max(scale, 0.75))
    ours = resample(picture(pixels, 3), box, (side, side))
    assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.9
    assert center_crop(side, side, (side, side), stated) == whole(side, side)


@pytest.mark.parametrize("side", [1, 8, 16, 28, 32, 64, 96, 223, 224, 256, 512])
def test_an_evaluation_sees_as_much_of_an_image_at_every_size(side):
    """Three quarters of a square, as at 224 px: a ninth was seen at 16 px when the margin was 32 px there too. From 224 px on it is 32 px."""
    box = center_crop(1000, 1000, (side, side))
    assert box.height == box.width == round(1000 * (7 / 8 if side < 224 else side / (side + 32)))
    assert center_crop(1000, 700, (side, side), 0.0) == Box(150, 0, 700, 700)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3, 1.9, 2.7])
def test_resampling_is_close_to_pillows_and_does_not_alias(factor):
    side = round(224 * factor)
    pixels = photo(side, side, seed=2)
    expected = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR), float)
    ours = resample(picture(pixels, 3), whole(side, side), (224, 224))
    assert ours.shape == (224, 224, 3)
    assert np.abs(ours - expected).mean() < 2.5
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[:, ::2] = 255
    if factor >= 1.3:  # what is too fine for the result becomes grey instead of coarse stripes
        finest = resample(picture(stripes, 3), whole(side, side), (224, 224))
        naive = stripes[:, (np.arange(224) * factor).astype(int)]
        assert finest.std() < 0.5 * naive.std()


def test_large_jpegs_are_decoded_at_a_fraction_and_give_the_same_picture():
    pixels = photo(600, 800, seed=3)
    content = encoded(pixels, quality=95)
    box = Box(40, 100, 500, 460)
    assert picture(content, 3).pixels(min_scale=0.25).shape == (150, 200, 3)
    expected = np.asarray(
        Image.open(io.BytesIO(content)).resize((112, 112), Image.Resampling.BILINEAR, box=(100, 40, 560, 540)), float
    )
    ours = resample(picture(content, 3), box, (112, 112))
    assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.98


def test_grey_and_odd_files_become_what_the_card_says():
    pixels = photo(40, 50, seed=4)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    assert np.array_equal(picture(encoded(grey, "PNG"), 3).pixels(), np.repeat(grey[..., None], 3, -1))
    assert np.abs(picture(encoded(pixels), 1).pixels()[..., 0].astype(int) - grey).mean() < 4
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(buffer, "JPEG", quality=95)
    assert np.abs(picture(buffer.getvalue(), 3).pixels().astype(int) - pixels).mean() < 8
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(64).save(buffer, "PNG")
    assert picture(buffer.getvalue(), 3).pixels().shape == (40, 50, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"not an image at all", "not an image"),
        (encoded(photo(60, 80, 5))[:900], "JPEG"),
        (encoded(photo(60, 80, 5))[:8], "JPEG"),
        (encoded(photo(60, 80, 5), "PNG")[:3000], "damaged image"),
        (np.zeros((4, 4, 3), np.float64), "float64"),
        (np.zeros((4, 4, 1), np.uint8), "1 channels"),
        ("a path", "the image is str"),
    ],
)
def test_images_that_cannot_be_used_say_why(content, reason):
    with pytest.raises(BadExample, match=reason):
        Preparation((16, 16, 3), 10)({"image": content, "label": 0, "id": 0}, 0, 0)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_outside_the_classes_is_a_bad_example(label):
    with pytest.raises(BadExample, match=rf"label {label} is not one of 0 … 9"):
        Preparation((4, 4, 1), 10)({"image": np.zeros((4, 4, 1), np.uint8), "label": label, "id": 0}, 0, 0)


STRONG = AugmentConfig(crop=True, flip=True, randaugment_layers=2)


def test_the_same_example_is_augmented_the_same_way_again_and_another_way_next_time():
    example = {"image": encoded(photo(60, 80, 6)), "label": 3, "id": 12}
    prepare = Preparation((32, 32, 3), 10, seed=5, augment=STRONG)
    first, label = prepare(example, 2, 0)
    assert label == 3
    assert np.array_equal(first, prepare(example, 2, 0)[0])
    others = [
        prepare(example, 3, 0),
        prepare(example, 2, 1),
        prepare(example | {"id": 13}, 2, 0),
        dataclasses.replace(prepare, seed=6)(example, 2, 0),
    ]
    assert all(not np.array_equal(first, other) for other, _ in others)


def test_half_of_the_images_are_mirrored():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    prepare = Preparation((4, 4, 3), 10, augment=AugmentConfig(flip=True))
    seen = [prepare({"image": pixels, "label": 0, "id": number}, 0, 0)[0] for number in range(400)]
    mirrored = sum(np.array_equal(image, pixels[:, ::-1]) for image in seen)
    assert mirrored + sum(np.array_equal(image, pixels) for image in seen) == 400
    assert 160 < mirrored < 240


PIXELS = photo(24, 32, seed=7)


@pytest.mark.parametrize(
    ("name", "strength", "expected"),
    [
        ("identity", 1.0, PIXELS),
        ("solarize", 0.5, np.where(PIXELS < 128, PIXELS, 255 - PIXELS)),
        ("posterize", 1.0, PIXELS & 0xF0),
        ("posterize", 0.0, PIXELS),
        ("translate x", 0.5, np.concatenate([np.zeros((24, 7, 3), np.uint8), PIXELS[:, :-7]], 1)),  # int(32 · 0.5 · 150/331) = 7
        ("translate y", -0.5, np.concatenate([PIXELS[5:], np.zeros((5, 32, 3), np.uint8)])),
        ("brightness", -1.0, np.asarray(ImageEnhance.Brightness(Image.fromarray(PIXELS)).enhance(0.1))),
        ("color", 1.0, np.asarray(ImageEnhance.Color(Image.fromarray(PIXELS)).enhance(1.9))),
        ("autocontrast", 0.3, np.asarray(ImageOps.autocontrast(Image.fromarray(PIXELS)))),
    ],
)
def test_operations_do_what_they_are_called(name, strength, expected):
    operation, _ = OPERATIONS[name]
    assert np.array_equal(np.asarray(operation(Image.fromarray(PIXELS), strength)), expected)


def test_shears_and_rotations_move_points_where_geometry_says():
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[30, 20] = 255
    (row, column, _), *_ = np.argwhere(np.asarray(OPERATIONS["shear x"][0](Image.fromarray(dot), 1.0)))
    assert (row, column) == (30, 29)  # 20 + 0.3 · 30
    (row, column, _), *_ = np.argwhere(np.asarray(OPERATIONS["rotate"][0](Image.fromarray(dot), 1.0)))
    assert (row, column) == (29, 25)  # 10 below the centre, turned by 30° against the clock: (10 cos 30°, 10 sin 30°)


def test_randaugment_draws_every_operation_equally_often_and_both_directions():
    counts = dict.fromkeys(OPERATIONS, 0)
    directions = []
    original = dict(OPERATIONS)
    try:
        for name, (_, has_opposite) in original.items():

            def count(image, strength, name=name):
                counts[name] += 1
                if name == "rotate":
                    directions.append(strength)
                return image

            OPERATIONS[name] = (count, has_opposite)
        for rng in draws(1400):
            randaugment(PIXELS, 2, 9.0, rng)
    finally:
        OPERATIONS.update(original)
    assert sum(counts.values()) == 2800
    assert all(140 < count < 260 for count in counts.values())  # 200 expected, standard deviation 13.6
    assert set(directions) == {0.3, -0.3}


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["mixup", "cutmix", "both"]),
    size=st.integers(1, 12),
    repeats=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 99),
    bad=st.integers(0, 11),
)
def test_a_mixed_image_is_what_its_labels_say(kind, size, repeats, seed, bad):
    """Image k is all k + 1, so a row tells by its mean how much of whom it holds."""
    mixing = Mixing(float(kind != "cutmix"), float(kind != "mixup"), repeats, seed, 12)
    images = np.ones((size, 8, 10, 1), np.float32) * np.arange(1, size + 1, dtype=np.float32)[:, None, None, None]
    weights = (np.arange(size) != bad).astype(np.float32)
    partners, kept = mixing.apply(images, weights, step=3, first_row=0)
    own, other = np.arange(1, size + 1), partners + 1
    np.testing.assert_allclose(images.mean((1, 2, 3)), kept * own + (1 - kept) * other, rtol=1e-4)
    assert ((kept >= 0) & (kept <= 1)).all()
    assert np.array_equal(partners[partners], np.arange(size))
    for row in range(size):
        block = row // repeats
        expected = (block ^ 1) * repeats + row % repeats
        alone = expected >= size or not weights[row] or not weights[expected]
        assert partners[row] == (row if alone else expected)
        if alone:
            assert kept[row] == 1


def test_a_slice_of_a_batch_is_mixed_as_the_whole():
    whole_batch = np.random.default_rng(0).standard_normal((8, 6, 6, 3)).astype(np.float32)
    parts = [whole_batch[:4].copy(), whole_batch[4:].copy()]
    mixing = Mixing(0.8, 1.0, 1, 7, 8)
    for step in range(6):
        _, kept = mixing.apply(whole_batch, np.ones(8), step=step, first_row=0)
        halves = [mixing.apply(part, np.ones(4), step=step, first_row=4 * index)[1] for index, part in enumerate(parts)]
        np.testing.assert_array_equal(np.concatenate(halves), kept)
        np.testing.assert_array_equal(np.concatenate(parts), whole_batch)


def test_shares_follow_the_beta_distribution():
    shares = []
    for step in range(200):
        _, kept = Mixing(0.4, 0.0, 1, 1, 16).apply(np.zeros((16, 1, 1, 1), np.float32), np.ones(16), step=step, first_row=0)
        shares.extend(kept)
    expected = 1 / (4 * (2 * 0.4 + 1))  # variance of Beta(α, α)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert np.var(shares) == pytest.approx(expected, rel=0.06)


def test_randaugment_is_refused_where_pixels_are_not_bytes_of_255():
    from trainer import DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data
    from trainer.data.loader import open_loader

    examples = data.ArrayExamples(np.zeros((64, 8, 8, 1), np.uint8), np.zeros(64, int), full_scale=16, mean=0.3, std=0.4)
    card = data.DataCard("made", "f" * 16, 10, (8, 8, 1), 64, 64)
    config = TrainConfig(DataConfig("made", card), ModelConfig("nfnet", "nano-F0"), ScheduleConfig(1.0), 64, 1.0, augment=STRONG)
    with pytest.raises(UsageError, match="this data set has 0 … 16"):
        open_loader(examples, data.Order.of(config), config=config, execution=Execution())
