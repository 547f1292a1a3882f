"""`scaling model`: what a model is and costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.options import AsJson
from scaling.rounding import significant

if TYPE_CHECKING:
    from trainer.models.card import ModelCard

__all__ = ["EXAMPLES", "model_command"]

EXAMPLES = """
scaling model F3 --batch 64 --dtype bfloat16          # parameters, MACs, activations, memory

scaling model F3+ -o width_rule=released_code

scaling model mine -o width=[16,32] -o depth=[1,2] -o group_width=8 -o stem=small --px 32 --classes 10

scaling model mine --family resnet -o width=[16,32] -o depth=[1,2] -o stem=small --px 32 --classes 10
"""


def model_command(
    name: Annotated[
        str,
        typer.Argument(help="F0 … F7+, nano-F0 … nano-F7+, ResNet-50, nano-ResNet-20 …, or any name with -o width and -o depth."),
    ],
    px: Annotated[int, typer.Option("--px", help="Height and width of the images.")] = 224,
    classes: Annotated[int, typer.Option("--classes", help="Outputs of the classifier.")] = 1000,
    channels: Annotated[int, typer.Option("--channels", help="Channels of the images.")] = 3,
    batch: Annotated[int, typer.Option("--batch", help="Images on one device, for the memory.")] = 256,
    dtype: Annotated[str, typer.Option("--dtype", help="Of the computation: float32 or bfloat16.")] = "float32",
    remat: Annotated[
        str,
        typer.Option(
            "--remat",
            help="What the backward pass keeps: none (all it needs), dots (what convolutions and products gave) or block (each block's input).",
        ),
    ] = "none",
    ema: Annotated[bool, typer.Option("--ema", help="With a moving average of the parameters.")] = False,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="KEY=VALUE as in an experiments file.")] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help="Of a model by its dimensions: nfnet, which is taken without it, resnet or another."),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="A family of your own: package.module:factory.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a model is and costs: parameters, MACs, activations, training memory. Nothing is trained."""
    from pathlib import Path

    from scaling.cli.output import print_json
    from scaling.columns import SCHEMA_VERSION
    from trainer.models.card import model_card
    from trainer.users_code import look_in

    look_in(Path.cwd())
    card = model_card(
        name,
        family_name=source or family,
        options=dict(_pair(text) for text in option or ()),
        image_shape=(px, px, channels),
        num_classes=classes,
        batch_size=batch,
        dtype=dtype,
        remat=remat,
        ema=ema,
    )
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "model": card.to_dict()})
    else:
        _show(card)


def _pair(text: str) -> tuple[str, object]:
    """Read `width=[16,32]` as ("width", [16, 32]); a value that is not JSON is a name."""
    from scaling.errors import UsageError

    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--option {text!r} is not of the form key=value", hint="e.g. -o width=[16,32] or -o stem=small")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value.strip()


def _show(card: ModelCard) -> None:
    from scaling.cli.output import console

    height, width, channels = card.image_shape
    how = " (counted from the module)" if card.counted else ""
    rows = [
        ("model", f"{card.model} ({card.family})"),
        ("images", f"{height} × {width} × {channels}, {card.num_classes} classes"),
        ("parameters", f"{card.params:,}{how}"),
        ("MACs an image", f"{card.macs:,}{how}"),
        ("training FLOPs an image", f"{significant(card.train_flops_per_image, 3)} (6 × MACs)"),
    ]
    if card.activations is not None:
        rows.append(("activations an image", f"{card.activations:,} (outputs of convolutions and products)"))
    if card.total_stride is not None:
        smallest = f"{-(-height // card.total_stride)} × {-(-width // card.total_stride)}"
        warning = ", SMALLER than one step: use another stem" if min(height, width) < card.total_stride else ""
        rows.append(("last feature map", f"{smallest} (total stride {card.total_stride}{warning})"))
    if card.memory is not None:
        memory = card.memory
        rows.append(
            ("training memory, estimate", f"{_gb(memory.total_bytes)} at batch {card.batch_size}, {card.dtype}, remat {card.remat}")
        )
        parts = {"parameters": memory.params_bytes, "gradients": memory.gradients_bytes, "momentum": memory.momentum_bytes}
        parts |= {"moving average": memory.ema_bytes} if memory.ema_bytes else {}
        rows += [(f"  {part}", _gb(size)) for part, size in (parts | {"activations": memory.activations_bytes}).items()]
    out = console()
    for label, value in rows:
        out.print(f"{label:<26} {value}", highlight=False)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
