"""A page that shows what a search for duplicates found: counts by rule, and pairs as pictures. It loads nothing: the pictures are in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np

from scaling.extras import needed_for
from trainer.data.dataset import BadExample
from trainer.data.images.picture import picture
from trainer.duplicates.checked import Checked
from trainer.duplicates.finding import RULES, Found, Pair
from trainer.duplicates.pixels import shown
from trainer.duplicates.prints import full_scale_of
from trainer.duplicates.splits import Split

__all__ = ["write_report"]

_SHOWN = 24
"""Pairs of a rule that are shown, those that differ most first: among them are the mistakes, if there are any."""
_SIDE = 160

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --muted: light-dark(#555, #aaa); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: right; }
td:first-child, th:first-child { text-align: left; }
.scroll { overflow-x: auto; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem; padding: 0; list-style: none; }
.pairs li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
figure { margin: 0; } figure img { width: 100%; height: 10rem; object-fit: contain; background: #8882; image-rendering: auto; }
figure img.small { image-rendering: pixelated; }
figcaption, p.note { font-size: .8rem; color: var(--muted); overflow-wrap: anywhere; }
.conflict { font-weight: 600; }
"""


def write_report(checked: Checked, path: Path, *, listed: Path | None) -> None:
    """Write the page. listed: the list that was written, to name it, if one was. Raises `OSError`, `MissingExtra`."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Duplicates</title><style>{_STYLE}</style>",
        f"<h1>{sum(len(each.pairs) for each in checked.found):,} pairs of images are the same or nearly so</h1>",
        *_left(checked, listed),
        *_counts(checked),
        *_faults(checked),
        *(part for each in checked.found for part in _examples(checked, each)),
        "</html>",
    ]
    path.write_text("\n".join(parts), encoding="utf-8")


def _left(checked: Checked, listed: Path | None) -> Iterator[str]:
    splits = {(split.fingerprint, split.name): split for split in checked.splits}
    lists = "Duplicates are" if listed is None else f"<code>{escape(str(listed))}</code> lists"
    for place, (left, images) in checked.left.items():
        yield f"<p>{lists} {images - left:,} of the {images:,} images in {escape(checked.called(splits[place]))}; {left:,} are left.</p>"


def _counts(checked: Checked) -> Iterator[str]:
    yield "<div class=scroll><table><thead><tr><th>compared<th>images" + "".join(f"<th>{rule}" for rule in RULES)
    yield "<th>labels differ</tr></thead><tbody>"
    for each in checked.found:
        images = f"{len(each.a):,}" + ("" if each.is_within else f" × {len(each.b):,}")
        cells = [images, *(f"{count:,}" for count in each.by_rule.values()), f"{len(each.conflicts):,}"]
        yield f"<tr><td>{escape(_title(checked, each))}" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _faults(checked: Checked) -> Iterator[str]:
    for split, bad in checked.unreadable:
        named = "; ".join(f"{escape(name)}: {escape(reason)}" for name, reason in bad[:_SHOWN])
        yield f"<p class=note>Not compared, of {escape(checked.called(split))}: {len(bad):,} that cannot be read. {named}</p>"


def _examples(checked: Checked, each: Found) -> Iterator[str]:
    conflicts = set(each.conflicts)
    for rule in RULES:
        pairs = sorted((pair for pair in each.pairs if pair.rule == rule), key=lambda pair: (pair not in conflicts, -pair.distance))
        if not pairs:
            continue
        more = f", {_SHOWN} of {len(pairs):,}, those that differ most first" if len(pairs) > _SHOWN else ""
        yield f"<h2>{escape(_title(checked, each))}: {rule}{more}</h2><ul class=pairs>"
        for pair in pairs[:_SHOWN]:
            yield _pair(each, pair, pair in conflicts)
        yield "</ul>"


def _title(checked: Checked, each: Found) -> str:
    return f"within {checked.called(each.a)}" if each.is_within else f"{checked.called(each.a)} against {checked.called(each.b)}"


def _pair(each: Found, pair: Pair, in_conflict: bool) -> str:
    figures = "".join(_figure(split, index) for split, index in ((each.a, pair.a), (each.b, pair.b)))
    labels = f" <span class=conflict>labels {escape(str(each.a.label(pair.a)))} and {escape(str(each.b.label(pair.b)))}</span>"
    return (
        f"<li><div class=two>{figures}</div><p class=note>distance {pair.distance:.3f}, {escape(pair.orientation)}"
        f"{labels if in_conflict else ''}</p></li>"
    )


def _figure(split: Split, index: int) -> str:
    name = escape(split.id(index))
    try:
        pixels = picture(split.examples[index]["image"], split.channels).pixels()
    except (BadExample, OSError) as error:
        return f"<figure><figcaption>{name}: {escape(str(error))}</figcaption></figure>"
    small = " class=small" if max(pixels.shape[:2]) < _SIDE / 2 else ""
    size = f"{pixels.shape[1]} × {pixels.shape[0]}"
    return f"<figure><img{small} alt='{name}' src='{_encoded(shown(pixels, full_scale_of(split.examples)))}'><figcaption>{escape(split.name)}: {name}, {size}</figcaption></figure>"


def _encoded(pixels: np.ndarray) -> str:
    """Return pixels uint8 [H, W, 1 or 3] as a PNG in a URL, no side above `_SIDE`."""
    with needed_for("pictures in a report need"):
        from PIL import Image
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
