"""The peer of `benchmarks/vit_logits.py`: ViTs of PyTorch + timm with this project's weights, in float64.

Runs in an environment of its own (torch, timm) as a child process: reads one JSON object a line from stdin, answers one a line.

    {"model": {…}, "weights": "case.npz"}   → {"params": …, "logits": […], "timm": "1.0.31"}

`model` has the fields of `trainer.models.vit.Variant`, `hidden`, `trained` ([H, W, C]) and `classes`. The file has `images` and the parameters by path;
sin-cos positions are in it as `positions` too, since timm keeps positions as parameters.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import timm
import torch
from timm.layers import GELUTanh
from timm.models.vision_transformer import VisionTransformer
from torch import nn

POOLS = {"token": "token", "average": "avg", "attention": "map"}


def build(model: dict[str, Any]) -> VisionTransformer:
    """Make timm's ViT. It resamples positions by itself (`dynamic_img_size`), and norms before the mean (`fc_norm=False`)."""
    return VisionTransformer(
        img_size=tuple(model["trained"][:2]),
        patch_size=model["patch"],
        in_chans=model["trained"][2],
        num_classes=model["classes"],
        global_pool=POOLS[model["pool"]],
        embed_dim=model["width"],
        depth=model["depth"],
        num_heads=model["heads"],
        mlp_ratio=model["hidden"] / model["width"],
        class_token=model["pool"] == "token",
        fc_norm=False,
        dynamic_img_size=True,
        act_layer=GELUTanh if model["gelu"] == "tanh" else nn.GELU,
    )


def load(net: VisionTransformer, weights: dict[str, np.ndarray], patch: int) -> None:
    """Put parameters of this project, `block0/attention/query/kernel` …, into timm's modules."""
    targets: dict[str, torch.Tensor] = {"positions": net.pos_embed}
    if net.cls_token is not None:
        targets["class_token"] = net.cls_token
    norms, layers = {"norm": net.norm}, {"classifier": net.head}
    for index, block in enumerate(net.blocks):
        at = f"block{index}"
        norms |= {f"{at}/attention_norm": block.norm1, f"{at}/mlp_norm": block.norm2}
        layers |= {f"{at}/attention/out": block.attn.proj, f"{at}/mlp/in": block.mlp.fc1, f"{at}/mlp/out": block.mlp.fc2}
        targets |= _parts(f"{at}/attention", block.attn.qkv, ("query", "key", "value"))
    if (pool := net.attn_pool) is not None:
        targets["pool/probe"] = pool.latent
        norms["pool/mlp_norm"] = pool.norm
        layers |= {"pool/attention/query": pool.q, "pool/attention/out": pool.proj}
        layers |= {"pool/mlp/in": pool.mlp.fc1, "pool/mlp/out": pool.mlp.fc2}
        targets |= _parts("pool/attention", pool.kv, ("key", "value"))
    for path, norm in norms.items():
        targets |= {f"{path}/scale": norm.weight, f"{path}/bias": norm.bias}
    for path, layer in layers.items():
        targets |= {f"{path}/kernel": layer.weight, f"{path}/bias": layer.bias}
    embedding = net.patch_embed.proj
    targets |= {"embedding/kernel": embedding.weight, "embedding/bias": embedding.bias}
    if set(targets) != set(weights):
        raise SystemExit(f"parameters differ: {sorted(set(targets) ^ set(weights))[:5]}")
    if sum(target.numel() for target in targets.values()) != sum(p.numel() for p in net.parameters()):
        raise SystemExit("timm has parameters that this project does not")
    with torch.no_grad():
        for path, target in targets.items():
            value = torch.from_numpy(np.array(weights[path]))
            if path == "embedding/kernel":  # [rows · columns · C, O] → [O, C, rows, columns]
                value = value.reshape(patch, patch, -1, value.shape[-1]).permute(3, 2, 0, 1)
            elif path.endswith("kernel"):
                value = value.T
            target.copy_(value.reshape(target.shape))


def _parts(path: str, fused: nn.Linear, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Name the parts of a dense layer that timm computes as one."""
    parts = zip(names, fused.weight.chunk(len(names)), fused.bias.chunk(len(names)), strict=True)
    return {f"{path}/{name}/{kind}": part for name, weight, bias in parts for kind, part in (("kernel", weight), ("bias", bias))}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        model = request["model"]
        with np.load(request["weights"]) as file:
            weights = dict(file)
        images = torch.from_numpy(weights.pop("images")).permute(0, 3, 1, 2).double()
        net = build(model).double().eval()
        load(net, weights, model["patch"])
        with torch.no_grad():
            logits = net(images).tolist()
        params = sum(p.numel() for p in net.parameters())
        print(json.dumps({"params": params, "logits": logits, "timm": timm.__version__}), flush=True)


if __name__ == "__main__":
    main()
