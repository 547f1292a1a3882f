"""The peer of `benchmarks/resnet_logits.py`: ResNets of PyTorch + timm with this project's weights, in float64.

Runs in an environment of its own (torch, timm) as a child process: reads one JSON object a line from stdin, answers one a line.

    {"model": {…}, "weights": "case.npz"}   → {"params": …, "eval": […], "train": […], "statistics": {path: […]}, "timm": "1.0.31"}

`model` has the fields of `trainer.models.resnet.Variant`, `inside`, `channels` and `classes`. The file has `images` and the parameters and averages by
path. ResNet-18 … ResNet-152 are timm's own networks; others are timm's blocks after a stem of PyTorch.

eval: logits by the averages; train: by the batch. statistics: the averages after that one batch, of the batch's own variance as this project has
it: PyTorch multiplies it by m / (m − 1), which is taken back.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import timm
import torch
from timm.models import resnet
from torch import nn


def build(model: dict[str, Any]) -> nn.Module:
    """Make timm's ResNet."""
    name = model["name"].lower().replace("-", "")
    if name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        return timm.create_model(name, num_classes=model["classes"], in_chans=model["channels"], zero_init_last=False)
    block = resnet.BasicBlock if model["block"] == "basic" else resnet.Bottleneck
    inside, depth = model["inside"], model["depth"]
    stages, _ = resnet.make_blocks(
        (block,) * len(depth), inside, depth, inside[0], act_layer=nn.ReLU, norm_layer=nn.BatchNorm2d, aa_layer=None
    )
    size, stride = 7 if model["stem"] == "imagenet" else 3, 1 if model["stem"] == "small" else 2
    parts = [
        ("conv1", nn.Conv2d(model["channels"], inside[0], size, stride, size // 2, bias=False)),
        ("bn1", nn.BatchNorm2d(inside[0])),
        ("act1", nn.ReLU()),
        ("maxpool", nn.MaxPool2d(3, 2, 1) if model["stem"] == "imagenet" else nn.Identity()),
        *stages,
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flat", nn.Flatten()),
        ("fc", nn.Linear(model["width"][-1], model["classes"])),
    ]
    return nn.Sequential(OrderedDict(parts))


def parts_of(net: nn.Module, stages: int) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Name timm's convolutions and norms as this project does."""
    convolutions, norms = {"stem_conv": net.conv1}, {"stem_norm": net.bn1}
    blocks = [block for stage in range(stages) for block in getattr(net, f"layer{stage + 1}")]
    for index, block in enumerate(blocks):
        for number in range(3 if hasattr(block, "conv3") else 2):
            convolutions[f"block{index}/conv{number}"] = getattr(block, f"conv{number + 1}")
            norms[f"block{index}/norm{number}"] = getattr(block, f"bn{number + 1}")
        if block.downsample is not None:
            convolutions[f"block{index}/conv_shortcut"], norms[f"block{index}/norm_shortcut"] = block.downsample
    return convolutions, norms


def load(net: nn.Module, convolutions: dict[str, nn.Module], norms: dict[str, nn.Module], weights: dict[str, np.ndarray]) -> None:
    """Put parameters and averages of this project into timm's modules (kernels HWIO → OIHW)."""
    targets = {"params/classifier/kernel": net.fc.weight, "params/classifier/bias": net.fc.bias}
    targets |= {f"params/{path}/kernel": convolution.weight for path, convolution in convolutions.items()}
    for path, norm in norms.items():
        targets |= {f"params/{path}/scale": norm.weight, f"params/{path}/bias": norm.bias}
        targets |= {f"batch_stats/{path}/mean": norm.running_mean, f"batch_stats/{path}/var": norm.running_var}
    if set(targets) != set(weights):
        raise SystemExit(f"parameters differ: {sorted(set(targets) ^ set(weights))[:5]}")
    with torch.no_grad():
        for path, target in targets.items():
            value = torch.from_numpy(weights[path])
            target.copy_(value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T if value.ndim == 2 else value)


def statistics_of(net: nn.Module, norms: dict[str, nn.Module], images: torch.Tensor) -> tuple[torch.Tensor, dict[str, list[float]]]:
    """Compute the logits of a training batch, and the averages after it."""
    before = {path: norm.running_var.clone() for path, norm in norms.items()}
    counts: dict[str, int] = {}
    for path, norm in norms.items():
        norm.register_forward_hook(lambda _, inputs, __, path=path: counts.update({path: inputs[0].numel() // inputs[0].shape[1]}))
    logits = net.train()(images)
    found = {}
    for path, norm in norms.items():
        kept, m = 1 - norm.momentum, counts[path]
        variance = kept * before[path] + (norm.running_var - kept * before[path]) * (m - 1) / m
        found |= {f"{path}/mean": norm.running_mean.tolist(), f"{path}/var": variance.tolist()}
    return logits, found


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        model = request["model"]
        with np.load(request["weights"]) as file:
            weights = dict(file)
        images = torch.from_numpy(weights.pop("images")).permute(0, 3, 1, 2).double()
        net = build(model).double().eval()
        convolutions, norms = parts_of(net, len(model["depth"]))
        load(net, convolutions, norms, weights)
        with torch.no_grad():
            evaluated = net(images)
            trained, statistics = statistics_of(net, norms, images)
        params = sum(p.numel() for p in net.parameters())
        answer = {"params": params, "eval": evaluated.tolist(), "train": trained.tolist(), "statistics": statistics}
        print(json.dumps(answer | {"timm": timm.__version__}), flush=True)


if __name__ == "__main__":
    main()
