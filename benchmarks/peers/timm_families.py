"""The peer of `benchmarks/families.py`: training steps of timm's models with torch's and timm's optimisers.

Runs in an environment of its own (torch, timm) as a child process: reads one JSON object a line from stdin, answers one a line.

    {"model": {…}, "optimizer": "adamw", "px": 32, "batch": 64, "classes": 100, "threads": 2}   → {"params": …, "peer": "…"}
    {"steps": 3}                                                                               → {"seconds": [one a step]}
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.utils.agc import adaptive_clip_grad
from torch.nn import functional


def trained(order: dict[str, Any]) -> tuple[torch.nn.Module, Callable[[], float]]:
    """The network, and a function that takes a step and returns its seconds."""
    torch.set_num_threads(order["threads"])
    torch.manual_seed(0)
    model = dict(order["model"])
    net = timm.create_model(model.pop("name"), num_classes=order["classes"], **model).train().to(memory_format=torch.channels_last)
    name = order["optimizer"]
    settings = {"opt": {"sgd-agc": "nesterov", "sgd": "nesterov"}.get(name, name), "lr": 1e-3, "weight_decay": 0.01}
    if settings["opt"] == "nesterov":
        settings["momentum"] = 0.9
    optimizer = create_optimizer_v2(net, **settings)
    clipped = [parameter for name, parameter in net.named_parameters() if not name.startswith(("head", "fc"))]
    images = torch.randn(order["batch"], 3, order["px"], order["px"]).to(memory_format=torch.channels_last)
    labels = torch.randint(0, order["classes"], (order["batch"],))

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(net(images), labels).backward()
        if name == "sgd-agc":
            adaptive_clip_grad(clipped, clip_factor=0.01, eps=1e-3)
        optimizer.step()
        return time.perf_counter() - started

    return net, step


def main() -> None:
    step: Callable[[], float] = lambda: 0.0  # noqa: E731
    for line in sys.stdin:
        order = json.loads(line)
        if "model" in order:
            net, step = trained(order)
            params = sum(parameter.numel() for parameter in net.parameters())
            print(json.dumps({"params": params, "peer": f"torch {torch.__version__}, timm {timm.__version__}"}), flush=True)
        else:
            print(json.dumps({"seconds": [step() for _ in range(order["steps"])]}), flush=True)


if __name__ == "__main__":
    main()
