"""The peer of `benchmarks/train_step.py`: the same NFNet in PyTorch + timm, one training step at a time.

Runs in an environment of its own (torch, timm) as a child process: reads one JSON object a line from stdin, answers one a line.

    {"model": {…}, "weights": "params.npz", "threads": 2}   → {"params": …, "logits": […]}
    {"steps": 3}                                            → {"seconds": [one a step]}

timm builds every part; what its configuration cannot say is put in its place with timm's own layers: the stem's channels (16, 32, 64 are
constants of NFNet-F, timm scales them), one group width a stage, and the tanh form of GELU, which the released weights need.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from timm.layers import ScaledStdConv2dSame
from timm.models.nfnet import GammaAct, NfCfg, NormFreeNet, _nonlin_gamma
from timm.utils.agc import adaptive_clip_grad
from torch import nn
from torch.nn import functional

STD_EPS = 1e-12
"""timm adds it to the variance; so small that its weights equal the published maximum rule, and the logits can be compared."""


class TanhGelu(GammaAct):
    """timm's scaled activation with the tanh form of GELU."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.gamma = _nonlin_gamma["gelu"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.gelu(x, approximate="tanh").mul_(self.gamma)


def build(model: dict[str, Any]) -> NormFreeNet:
    """The NFNet of `{width, depth, group_width (one a stage), stem ([channels, stride] each), num_classes, channels}`."""
    width = model["width"]
    net = NormFreeNet(
        NfCfg(
            depths=tuple(model["depth"]), channels=tuple(width), stem_type="deep_quad", stem_chs=model["stem"][-1][0],
            group_size=model["group_width"][0], bottle_ratio=0.5, extra_conv=True, gamma_in_act=True, same_padding=True,
            skipinit=True, num_features=2 * width[-1], act_layer="gelu", attn_layer="se",
            attn_kwargs={"rd_ratio": 0.5, "rd_divisor": 1}, std_conv_eps=STD_EPS,
        ),
        num_classes=model["num_classes"],
        in_chans=model["channels"],
    )  # fmt: skip
    inputs = model["channels"]
    for index, (channels, stride) in enumerate(model["stem"], start=1):
        setattr(net.stem, f"conv{index}", ScaledStdConv2dSame(inputs, channels, 3, stride=stride, eps=STD_EPS))
        inputs = channels
    for stage, group_width in zip(net.stages, model["group_width"], strict=True):
        for block in stage:
            for name in ("conv2", "conv2b"):
                old = getattr(block, name)
                new = ScaledStdConv2dSame(
                    old.in_channels, old.out_channels, 3, stride=old.stride[0], groups=old.in_channels // group_width, eps=STD_EPS
                )
                setattr(block, name, new)
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, GammaAct):
                setattr(module, name, TanhGelu())
    return net


def load(net: NormFreeNet, weights: dict[str, np.ndarray]) -> None:
    """Parameters of this project, `block0/conv1/kernel` …, into timm's modules (kernels HWIO → OIHW)."""
    blocks = [block for stage in net.stages for block in stage]
    parts = {f"stem_conv{index}": getattr(net.stem, f"conv{index + 1}") for index in range(4)} | {"final_conv": net.final_conv}
    for index, block in enumerate(blocks):
        parts |= {
            f"block{index}/conv0": block.conv1,
            f"block{index}/conv1": block.conv2,
            f"block{index}/conv1b": block.conv2b,
            f"block{index}/conv2": block.conv3,
            f"block{index}/squeeze_excite/squeeze": block.attn_last.fc1,
            f"block{index}/squeeze_excite/excite": block.attn_last.fc2,
        }
        if block.downsample is not None:
            parts[f"block{index}/conv_shortcut"] = block.downsample.conv
    targets: dict[str, torch.Tensor] = {"classifier/kernel": net.head.fc.weight, "classifier/bias": net.head.fc.bias}
    targets |= {f"block{index}/skip_gain": block.skipinit_gain for index, block in enumerate(blocks)}
    for path, part in parts.items():
        targets |= {f"{path}/kernel": part.weight, f"{path}/bias": part.bias}
        if hasattr(part, "gain"):
            targets[f"{path}/gain"] = part.gain
    if set(targets) != set(weights):
        raise SystemExit(f"parameters differ: {sorted(set(targets) ^ set(weights))[:5]}")
    if sum(target.numel() for target in targets.values()) != sum(p.numel() for p in net.parameters()):
        raise SystemExit("timm has parameters that this project does not")
    with torch.no_grad():
        for path, target in targets.items():
            value = torch.from_numpy(np.array(weights[path]))
            value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T if value.ndim == 2 else value
            target.copy_(value.reshape(target.shape))


class Step:
    """Forward, backward, AGC (not on the classifier's weight), SGD with Nesterov momentum; coupled weight decay but on gains and biases."""

    def __init__(self, net: NormFreeNet, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.net, self.images, self.labels = net, images, labels
        self.clipped = [p for name, p in net.named_parameters() if name != "head.fc.weight"]
        decayed = [p for name, p in net.named_parameters() if name.endswith("weight")]
        spared = [p for name, p in net.named_parameters() if not name.endswith("weight")]
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": 2e-5}, {"params": spared}], lr=0.1, momentum=0.9, nesterov=True, foreach=True
        )

    def __call__(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.net(self.images), self.labels)
        loss.backward()
        adaptive_clip_grad(self.clipped, clip_factor=0.01, eps=1e-3)
        self.optimizer.step()
        return loss.item()


def main() -> None:
    step = None
    for line in sys.stdin:
        request = json.loads(line)
        if "model" in request:
            torch.set_num_threads(request["threads"])
            with np.load(request["weights"]) as file:
                content = dict(file)
            images = torch.from_numpy(content.pop("images")).permute(0, 3, 1, 2)  # NHWC in memory: channels_last
            labels = torch.from_numpy(content.pop("labels")).long()
            net = build(request["model"]).to(memory_format=torch.channels_last)
            load(net, content)
            with torch.no_grad():
                logits = net(images)
            step = Step(net, images, labels)
            answer = {
                "params": sum(p.numel() for p in net.parameters()),
                "logits": logits.double().tolist(),
                "torch": torch.__version__,
            }
        else:
            assert step is not None
            seconds, losses = [], []
            for _ in range(request["steps"]):
                started = time.perf_counter()
                losses.append(step())
                seconds.append(time.perf_counter() - started)
            answer = {"seconds": seconds, "losses": losses}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
