"""Results of before a reading was mended never meet those of after; the ids of all other runs stay."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from scaling.errors import DataError, UsageError
from tests.trainer import pictures
from tests.trainer.own_data import Flat, Normalised
from tests.trainer.test_image_files import png, tiff
from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.data.corrections import corrected
from trainer.data.loader import open_evaluation
from trainer.execution import Execution


def config_of(name, options):
    card = data.card(name, options)
    described = DataConfig(name, card, data.significant(name, options))
    return TrainConfig(described, ModelConfig("nfnet", "nano-F0"), ScheduleConfig(1.0), batch_size=4, learning_rate=0.1)


def before(config):
    """The id that an earlier version gave the run."""
    card = dataclasses.replace(config.data.card, corrections=())
    return dataclasses.replace(config, data=dataclasses.replace(config.data, card=card)).run_id()


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def folder_of(folder, make):
    """Nine images a split: `make(pixels, split, k)` gives the file of one, of 24 × 24 px."""
    images = {
        split: [(f"{k:03d}.png", make(pictures.photo(24, 24, first + k), split, k), k % 3) for k in range(9)]
        for split, first in (("train", 0), ("val", 1000))
    }
    return str(pictures.write_folder(folder, images))


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("native"), lambda pixels, split, k: pictures.encoded(pixels, "PNG"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One held-out image, the last but one, has another size."""
    return folder_of(
        tmp_path_factory.mktemp("odd"),
        lambda pixels, split, k: pictures.encoded(pixels[:, : 20 if (split, k) == ("val", 7) else 24], "PNG"),
    )


def test_ids_of_runs_on_float32_pixels_move():
    card = data.dataset.DataCard("own", "1" * 16, 3, (4, 4, 2), 12, 5)
    split = Normalised(12)
    assert corrected(data.Dataset(card, split, split)).card.corrections == ("float32-pixels",)
    flat = data.dataset.DataCard("own", "2" * 16, 3, (20, 20, 3), 64, 64)
    assert corrected(data.Dataset(flat, Flat(), Flat())).card.corrections == ()


def test_ids_move_with_the_evaluation_and_only_then(native, odd):
    for folder, sizes, moves in (
        (native, {"train_px": 24}, False),
        (native, {"train_px": 24, "eval_px": 32}, True),
        (native, {"train_px": 32, "eval_px": 24}, False),
        (native, {"train_px": 24, "eval_px": 224}, False),
        (odd, {"train_px": 24}, True),
        (odd, {"train_px": 200, "eval_px": 224}, False),
        (odd, {"train_px": 224, "eval_px": 256}, False),
    ):
        config = config_of("imagefolder", {"path": folder} | sizes)
        assert (config.run_id() != before(config)) is moves, (folder, sizes)
        assert config.data.card.corrections == (("evaluation-margin",) if moves else ())
        assert data.load("imagefolder", {"path": folder} | sizes).card == config.data.card
        assert TrainConfig.from_dict(config.to_dict()).run_id() == config.run_id()


def test_ids_of_arrays_stay():
    assert config_of("digits", {}).run_id() == "29bc07e6d897f420"  # as it was before there were corrections


MAKE = {
    "16-bit": lambda pixels: saved(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)),
    "alpha": lambda pixels: saved(Image.fromarray(np.dstack([pixels, pixels[..., :1]]))),
    "transparent-colour": lambda pixels: png(24, 24, 4, 0, bytes([0x57] * 12), (b"tRNS", b"\0\5")),
    "white-is-zero": lambda pixels: tiff(pixels[..., 0].astype(np.uint16) * 257, tags={262: 0}),
    "orientation": lambda pixels: saved(Image.fromarray(pixels), exif=_sideways()),
}


def _sideways():
    exif = Image.Exif()
    exif[274] = 6
    return exif


@pytest.mark.parametrize("name", MAKE)
def test_ids_move_where_pixels_were_read_wrongly(name, tmp_path):
    folder = folder_of(
        tmp_path, lambda pixels, split, k: MAKE[name](pixels) if (split, k) == ("train", 4) else pictures.encoded(pixels, "PNG")
    )
    config = config_of("imagefolder", {"path": folder, "train_px": 24})
    found = config.data.card.corrections
    assert set(found) == {name} | {"transparent-colour": {"alpha"}, "white-is-zero": {"16-bit"}}.get(name, set())
    assert config.run_id() != before(config)


def test_a_run_that_an_earlier_version_planned_is_not_evaluated_otherwise_under_its_old_id(odd):
    options = {"path": odd, "train_px": 24}
    found = data.load("imagefolder", options).card
    planned = dataclasses.replace(found, corrections=())
    with pytest.raises(DataError, match=r"an earlier version planned this run .* \(evaluation-margin\)") as caught:
        planned.require(found)
    assert "submit the file again" in caught.value.hint
    found.require(planned)  # more caution than is needed
    found.require(found)


def test_the_margin_can_be_stated(odd, native):
    options = {"path": odd, "train_px": 24}
    config, stated = config_of("imagefolder", options), config_of("imagefolder", options | {"eval_margin_px": 0})
    assert stated.data.card.evaluation_margin_px == 0
    assert stated.data.card.corrections == ()
    assert len({config.run_id(), stated.run_id(), before(config), before(stated)}) == 3
    default = {"path": odd, "train_px": 28, "eval_margin_px": 4}
    assert config_of("imagefolder", default).run_id() == config_of("imagefolder", {"path": odd, "train_px": 28}).run_id()
    full = {"path": odd, "train_px": 224}
    assert config_of("imagefolder", full | {"eval_margin_px": 32}).run_id() == config_of("imagefolder", full).run_id()
    for wrong in (-1, "wide", True, float("nan"), 5000):
        with pytest.raises(UsageError, match="eval_margin_px"):
            data.card("imagefolder", options | {"eval_margin_px": wrong})


@pytest.mark.parametrize(("margin", "seen"), [(None, 7 / 8), (0, 1.0), (48, 1 / 4)])
def test_what_an_evaluation_sees(tmp_path, margin, seen):
    """A frame of 255 around black: the share of the side that is cut off decides whether it is seen."""
    pixels = np.full((64, 64, 3), 255, np.uint8)
    edge = round(64 * (1 - seen) / 2)
    pixels[edge : 64 - edge, edge : 64 - edge] = 0
    folder = folder_of(tmp_path, lambda *_: pictures.encoded(pixels, "PNG"))
    dataset = data.load("imagefolder", {"path": folder, "train_px": 16, **({} if margin is None else {"eval_margin_px": margin})})
    with open_evaluation(dataset.validation, card=dataset.card, batch_size=9, execution=Execution()) as loader:
        images = next(loader).images
    assert np.ptp(images[..., 0]) < 1e-6  # black alone
