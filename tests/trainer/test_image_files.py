"""Image files as strangers have them: turned, transparent, of 16 bits, in odd formats, damaged, made to exhaust memory."""

import io
import random
import resource
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image, ImageDraw, ImageOps

from tests.trainer.pictures import encoded, photo
from trainer.data.dataset import BadExample
from trainer.data.images.decode import FORMATS, MAX_PIXELS
from trainer.data.images.picture import picture
from trainer.data.images.preparation import Preparation

ORIENTATION = 274
CHINA = Path(sklearn.datasets.__file__).with_name("images") / "china.jpg"


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(image, kind, orientation, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(image, kind, exif=exif, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_whatever_its_exif_says(kind, orientation):
    content = turned(Image.fromarray(photo(24, 40, 0)), kind, orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"), int)
    found = picture(content, 3)
    assert (found.height, found.width) == expected.shape[:2]
    assert np.abs(found.pixels() - expected).mean() < 1
    assert ("orientation" in found.corrections) == (orientation != 1 and kind != "TIFF")  # which Pillow turned always


def test_a_turned_photograph_gives_the_pixels_of_the_upright_one():
    """A real one, also where it is decoded at a fraction of its size."""
    upright = Image.open(CHINA)
    sideways = turned(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", 6, quality=95)
    prepare = Preparation((64, 64, 3), 10)
    same, _ = prepare({"image": CHINA.read_bytes(), "label": 0, "id": 0}, 0, 0)
    found, _ = prepare({"image": sideways, "label": 0, "id": 0}, 0, 0)
    assert np.abs(found.astype(int) - same).mean() < 3
    assert picture(sideways, 3).pixels(min_scale=0.25).shape[:2] == (107, 160)


@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0", b"Exif\0\0"])
def test_exif_that_says_nothing_leaves_a_picture_as_it_is(exif):
    pixels = photo(24, 40, 0)
    content = saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=95)
    assert np.array_equal(picture(content, 3).pixels(), picture(saved(Image.fromarray(pixels), "JPEG", quality=95), 3).pixels())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_of_16_bits_keeps_its_shades(kind, channels):
    values = np.random.default_rng(0).integers(0, 2**16, (16, 20)).astype(np.uint16)
    found = picture(saved(Image.fromarray(values), kind), channels)
    assert found.pixels().shape == (16, 20, channels)
    assert np.array_equal(found.pixels()[..., -1], np.rint(values / 257).astype(np.uint8))
    assert found.corrections == {"16-bit"}


def png(width, height, bits, colour, row, *chunks):
    """Of rows that are all alike, by the specification."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(b"\0" + row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    rest = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rest + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_colour_of_16_bits_and_a_transparent_shade():
    assert picture(png(2, 2, 16, 2, bytes([0x80, 0xFF, 0x40, 0x00, 0x20, 0x10] * 2)), 3).pixels()[0, 0].tolist() == [
        0x80,
        0x40,
        0x20,
    ]
    grey = png(2, 1, 16, 0, bytes([0x80, 0x00, 0x10, 0x10]), (b"tRNS", b"\x10\x10"))
    assert picture(grey, 1).pixels()[0, :, 0].tolist() == [128, 255]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_shade_of_any_depth_is_white_and_no_other(bits):
    """Of a key that is wider than a pixel the lowest bits count, as the specification of PNG says."""
    shades = np.arange(2**bits) if bits < 16 else np.array([0, 0x1010, 0x1011, 0x8000, 0xFFFF])
    row = np.packbits((shades[:, None] >> np.arange(bits)[::-1]) & 1).tobytes()
    for key in shades[:: max(1, len(shades) // 16)]:
        for written in (key, key | 0x100) if bits in (2, 4) else (key,):
            content = png(len(shades), 2, bits, 0, row, (b"tRNS", struct.pack(">H", written)))
            expected = np.rint(shades * (255 / (2**bits - 1))).astype(np.uint8)
            expected[shades == key] = 255
            found = picture(content, 1)
            assert found.pixels()[0, :, 0].tolist() == expected.tolist()
            before = np.where(shades * (255 // (2**bits - 1)) == written, 255, expected) if bits < 8 else expected
            before[(shades == key) & (bits in (2, 4)) & (key * (255 // (2**bits - 1)) != written)] = key * 255 // (2**bits - 1)
            assert ("transparent-colour" in found.corrections) == (before.tolist() != expected.tolist())


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_is_compared_with_all_its_bits(bits):
    kind, shift = (">B", 0) if bits == 8 else (">H", 8)
    key = (0x10 << shift | 1, 0x20 << shift, 0x30 << shift)
    others = [(key[0] ^ 1, *key[1:]), (*key[:2], key[2] + 2), (0x10, 0x20, 0x30), (0x11, 0x20, 0x30)]
    colours = [key] + [other for other in others if other != key]
    row = b"".join(struct.pack(kind, value) for colour in colours for value in colour)
    found = picture(png(len(colours), 3, bits, 2, row, (b"tRNS", struct.pack(">HHH", *key))), 3)
    expected = [[255] * 3, *([value >> shift for value in colour] for colour in colours[1:])]
    assert found.pixels()[2].tolist() == expected
    assert found.corrections == ({"alpha"} if bits == 8 else {"transparent-colour"})
    unused = picture(png(1, 3, bits, 2, row[-3 * bits // 8 :], (b"tRNS", struct.pack(">HHH", *key))), 3)
    assert unused.corrections == set()


def tiff(values, *, tags=None):
    """Grey of one strip, little-endian, by the specification; `tags`: number → value, in place of or beside its own."""
    height, width = values.shape
    bits = 8 * values.dtype.itemsize
    body = values.astype(values.dtype.newbyteorder("<")).tobytes()
    own = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: len(body)} | (tags or {})
    own[273 if 273 in own else 324] = 8 + 2 + 12 * len(own) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(own.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(own)) + entries + bytes(4) + body


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_whose_white_is_zero_is_turned_round(dtype, channels):
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 7), dtype, endpoint=True)
    black_is_zero, white_is_zero = (picture(tiff(values, tags={262: kind}), channels) for kind in (1, 0))
    assert np.array_equal(white_is_zero.pixels(), 255 - black_is_zero.pixels())
    assert ("white-is-zero" in white_is_zero.corrections) == (dtype is np.uint16)
    assert "white-is-zero" not in black_is_zero.corrections


def test_a_tile_of_more_pixels_than_the_limit_is_refused_before_it_is_decoded():
    """However small the picture is: a tile is decoded whole."""
    for sides in ((24_576, 24_576), (2**31, 1), (16, 2**24)):
        tiled = {322: sides[0], 323: sides[1], 324: 0, 325: 1}
        content = tiff(np.zeros((1, 1), np.uint8), tags=tiled)
        with pytest.raises(BadExample, match=r"a tile of \d+ × \d+ pixels: more than the 134,217,728"):
            picture(content, 3)
    whole = Image.fromarray(photo(40, 48, 3))
    small = saved(whole, "TIFF", compression="tiff_deflate", tiffinfo={322: 256, 323: 256})
    assert np.array_equal(picture(small, 3).pixels(), np.asarray(whole))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_a_full_scale_are_refused(dtype):
    with pytest.raises(BadExample, match=r"mode [FI]\) have no stated full scale: convert them to 8 or 16 bits"):
        picture(saved(Image.fromarray(np.full((4, 4), 1000, dtype)), "TIFF"), 3).pixels()


def icon(mode, background=0):
    """A disc drawn in alpha alone: what lies under it and around it is of one colour."""
    alpha = Image.new("L", (20, 20))
    ImageDraw.Draw(alpha).ellipse((4, 4, 15, 15), fill=255)
    image = Image.new("RGB", (20, 20), (background,) * 3)
    image.putalpha(alpha)
    return image.convert(mode)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF"), ("RGBA", "GIF")])
def test_what_is_transparent_is_put_on_white(mode, kind, channels):
    image = icon(mode)
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("L")
    found = picture(saved(image, kind, **({"lossless": True} if kind == "WEBP" else {})), channels)
    assert np.array_equal(found.pixels()[..., 0], np.asarray(expected))
    assert found.pixels().shape == (20, 20, channels)
    assert found.corrections == {"alpha"}


def test_half_transparent_is_half_white_and_opaque_is_as_without_alpha():
    half = Image.new("RGBA", (4, 4), (200, 0, 100, 128))
    np.testing.assert_allclose(picture(saved(half, "PNG"), 3).pixels()[0, 0], [227, 127, 177], atol=1)
    pixels = photo(20, 24, 3)
    opaque = picture(saved(Image.fromarray(pixels).convert("RGBA"), "PNG"), 3)
    assert np.array_equal(opaque.pixels(), pixels)
    assert opaque.corrections == set()


def test_a_palette_with_a_transparent_colour():
    image = Image.fromarray(np.repeat([[0, 1, 2]], 2, 0).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 0, 0, 0, 200, 100, 50])
    found = picture(saved(image, "PNG", transparency=1), 3).pixels()
    assert found[0].tolist() == [[10, 20, 30], [255, 255, 255], [200, 100, 50]]


@pytest.mark.parametrize("kind", ["PCX", "TGA", "ICO", "EPS", "SGI"])
def test_formats_that_are_not_listed_are_not_tried(kind):
    with pytest.raises(BadExample, match=r"not an image of a format that is read \(JPEG, PNG, WEBP,") as caught:
        picture(saved(Image.fromarray(photo(20, 24, 3)), kind), 3)
    assert "0x" not in str(caught.value)  # the same words in every run


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_that_are_listed_are_read(kind):
    pixels = photo(40, 48, 3)
    found = picture(saved(Image.fromarray(pixels), kind), 3).pixels()
    assert found.shape == pixels.shape
    assert np.corrcoef(found.ravel(), pixels.ravel())[0, 1] > 0.9


def with_jpeg_size(content, side):
    changed = bytearray(content)
    at = changed.find(b"\xff\xc0") + 5
    changed[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(changed)


BOMBS = {  # each is made by its test: one of them takes half a second, and 200 MB for that time
    "jpeg header": lambda: with_jpeg_size(encoded(photo(16, 16, 0)), 65_500),
    "png header": lambda: png(65_500, 1, 1, 0, b"\0" * 8188)[:20] + struct.pack(">I", 65_500) + b"\0" * 40,
    "png of zeros": lambda: png(13_300, 13_300, 1, 0, b"\0" * 1663),
    "webp": lambda: saved(Image.new("RGB", (8300, 8300)), "WEBP", lossless=True, method=0),
    "gif header": lambda: b"GIF89a" + struct.pack("<HH", 65_500, 65_500) + b"\0\0\0;",
}


@pytest.mark.parametrize("name", BOMBS)
def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(name):
    content = BOMBS[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        BadExample, match=r"pixels are more than the [\d,]+ that are decoded|not a readable|format that is read|exceeds limit"
    ):
        picture(content, 3).pixels()
    assert len(content) < 2**19
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_the_limit_is_above_what_cameras_give():
    assert 12_000 * 9_000 < MAX_PIXELS < 13_300 * 13_300
    wide = png(20_000, 2_000, 1, 0, b"\x0f" * 2500)  # decoded in strips
    found, _ = Preparation((16, 16, 1), 2)({"image": wide, "label": 1, "id": 0}, 0, 0)
    assert found.shape == (16, 16, 1)


def test_whatever_a_decoder_raises_is_one_bad_example():
    """Files of every format with a few bytes changed, most of them in their headers: read, or refused in one line that is always the same."""
    sound = [saved(Image.fromarray(photo(20, 24, 3)), kind) for kind in FORMATS] + [turned(icon("RGBA"), "PNG", 6)]
    rng, refused, prepare = random.Random(0), 0, Preparation((16, 16, 3), 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(1500):
            content = bytearray(rng.choice(sound))
            for _ in range(rng.randint(1, 5)):
                content[rng.randrange(min(len(content), 200))] = rng.randrange(256)
            if rng.random() < 0.3:
                del content[rng.randrange(20, len(content)) :]
            reasons = set()
            for _ in range(2):
                try:
                    prepare({"image": bytes(content), "label": 0, "id": 0}, 0, 0)
                    reasons.add("")
                except BadExample as error:
                    reasons.add(str(error))
            assert len(reasons) == 1
            refused += reasons != {""}
            assert "\n" not in reasons.pop()
    assert refused > 500


@pytest.mark.parametrize("label", [None, "cat", b"cat", float("nan"), float("inf"), [1, 2]])
def test_a_label_that_is_no_number_is_a_bad_example(label):
    with pytest.raises(BadExample, match="is not a whole number"):
        Preparation((16, 16, 3), 10)({"image": encoded(photo(16, 16, 0)), "label": label, "id": 0}, 0, 0)
