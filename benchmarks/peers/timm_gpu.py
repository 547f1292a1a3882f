"""The peer of `benchmarks/gpu_train_step.py`: a training step of timm on one CUDA device; prints one line of JSON.

    python timm_gpu.py '{"model": "dm_nfnet_f0", "px": 224, "batch": 128, "steps": 20}'

Automatic mixed precision in bfloat16, `torch.compile`, adaptive gradient clipping as timm has it, SGD with Nesterov momentum, fused. Both memory
formats are timed and the faster one is reported. Not run on a GPU yet.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import Any

import timm
import torch
from timm.utils.agc import adaptive_clip_grad
from torch.nn import functional


def measure(order: dict[str, Any], memory_format: torch.memory_format, device: str) -> dict[str, Any]:
    """Seconds of a step, and the device's peak memory."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    net = timm.create_model(order["model"], num_classes=1000).to(device, memory_format=memory_format).train()
    compiled = torch.compile(net) if device == "cuda" else net
    clipped = [parameter for name, parameter in net.named_parameters() if name != "head.fc.weight"]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=2e-5, fused=device == "cuda")
    images = torch.randn(order["batch"], 3, order["px"], order["px"], device=device).to(memory_format=memory_format)
    labels = torch.randint(0, 1000, (order["batch"],), device=device)

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = functional.cross_entropy(compiled(images), labels)
        loss.backward()
        adaptive_clip_grad(clipped, clip_factor=0.01, eps=1e-3)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    first = step()
    times = [step() for _ in range(order["steps"] + 3)][3:]
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    return {"step_seconds": median(times), "memory_bytes": peak, "compile_seconds": first}


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    order, device = json.loads(sys.argv[1]), "cuda" if torch.cuda.is_available() else "cpu"
    formats = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    found = [measure(order, memory_format, device) | {"memory_format": name} for name, memory_format in formats.items()]
    print(json.dumps(min(found, key=lambda entry: entry["step_seconds"])))


if __name__ == "__main__":
    main()
