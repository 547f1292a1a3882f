"""The accelerators that are shipped: one row each, and beside it where its numbers were read.

Peak FLOP/s are dense bfloat16, of one chip. Many data sheets print the number with sparsity, which is twice that. A row has a source
that was read; a card without one is added by `accelerators:` in the experiments file.
"""

from __future__ import annotations

from scaling.accelerators.accelerator import Accelerator

__all__ = ["TABLE"]

_GB, _GIB = 10**9, 2**30
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4")
_ONE_HOST = ("1x1", "2x2", "2x4")  # a host of v5e and v6e has up to 8 chips; in larger slices it has 4

_GOOGLE = "Google Cloud, TPU system architecture: cloud.google.com/tpu/docs"
_IRONWOOD = "Google Cloud, TPU7x (Ironwood), which also has v5p and v6e: docs.cloud.google.com/tpu/docs/tpu7x"
_A100 = "NVIDIA A100 data sheet, as in glennklockwood.com/garden/processors/A100: 312, with sparsity 624; 80 GB, and 40 GB at first"
_TITAN = "NVIDIA's product pages, as cited in torchtitan/tools/utils.py (github.com/pytorch/torchtitan)"
_MLPERF = "MLCommons Inference, system descriptions (github.com/mlcommons/inference_results_v4.1 … v6.1)"
_BLACKWELL = "NVIDIA Blackwell technical brief, as in glennklockwood.com/garden/processors/B200"
_ADA = "NVIDIA L40 and L40S data sheets, as in mullet.se/product.html?product_id=355414"
_HOPPER = "github.com/feifeibear/LLMRoofline, hardware_dict.py"

TABLE = (
    Accelerator(
        name="cpu",
        chips_per_host=1,
        # ASSUMPTION: 100 GFLOP/s a core: 32 float32 FLOP a cycle (AVX2, two FMA units) at about 3 GHz. CPUs differ by 4x either way;
        # estimates on CPU are refined by what has been measured.
        peak_flops=100e9,
        source="an assumption: AVX2 at 3 GHz",
    ),
    Accelerator(name="gpu", source="any GPU that there is; its runs are named by what its driver says"),
    Accelerator(
        name="TPU-v2",
        peak_flops=45e12,
        cores_per_chip=2,
        chips_per_host=4,
        devices_per_chip=2,
        aliases=("v2",),
        device_names=("TPU v2",),
        generation="v2",
        topologies=_FLAT,
        source=_GOOGLE,
    ),
    Accelerator(
        name="TPU-v3",
        peak_flops=123e12,
        cores_per_chip=2,
        chips_per_host=4,
        devices_per_chip=2,
        aliases=("v3",),
        device_names=("TPU v3",),
        generation="v3",
        topologies=_FLAT,
        source=_GOOGLE,
    ),
    Accelerator(
        name="TPU-v4",
        peak_flops=275e12,
        cores_per_chip=2,
        chips_per_host=4,
        memory_bytes=32 * _GIB,
        aliases=("v4",),
        device_names=("TPU v4",),
        generation="v4",
        topologies=_CUBES,
        source=f"{_GOOGLE}; glennklockwood.com/garden/tpuv4",
    ),
    Accelerator(
        name="TPU-v5e",
        peak_flops=197e12,
        chips_per_host=4,
        aliases=("v5e", "v5litepod", "TPU-v5litepod"),
        device_names=("TPU v5 lite", "TPU v5e"),
        generation="v5litepod",  # as Google's API has it
        topologies=_FLAT,
        one_host_topologies=_ONE_HOST,
        source=_GOOGLE,
    ),
    Accelerator(
        name="TPU-v5p",
        peak_flops=459e12,
        cores_per_chip=2,
        chips_per_host=4,
        memory_bytes=95 * _GIB,
        aliases=("v5p",),
        device_names=("TPU v5", "TPU v5p"),
        generation="v5p",
        topologies=_CUBES,
        source=_IRONWOOD,
    ),
    Accelerator(
        name="TPU-v6e",
        peak_flops=918e12,
        chips_per_host=4,
        memory_bytes=32 * _GIB,
        aliases=("v6e", "Trillium"),
        device_names=("TPU v6 lite", "TPU v6e"),
        generation="v6e",
        topologies=_FLAT,
        one_host_topologies=_ONE_HOST,
        source=_IRONWOOD,
    ),
    Accelerator(
        name="TPU-v7",
        peak_flops=2307e12,
        cores_per_chip=2,
        chips_per_host=4,
        devices_per_chip=2,  # the same page: JAX shows both chiplets
        memory_bytes=192 * _GIB,
        aliases=("TPU-v7x", "TPU7x", "v7x", "Ironwood"),
        device_names=("TPU7x", "TPU7"),
        generation="v7x",
        topologies=_CUBES,
        source=_IRONWOOD,
    ),
    Accelerator(name="A100", peak_flops=312e12, memory_bytes=80 * _GB, source=_A100),
    Accelerator(
        name="H20", peak_flops=148e12, memory_bytes=96 * _GB, source=f"{_HOPPER}; github.com/citsjtu2020/LLM-Prof, hardware_spec.md"
    ),
    Accelerator(
        name="H100", peak_flops=989e12, memory_bytes=80 * _GB, aliases=("H100-SXM",), device_names=("H100",), source=_TITAN
    ),
    Accelerator(
        name="H100-PCIe",
        peak_flops=756e12,
        memory_bytes=80 * _GB,
        ray_type="H100",
        source=f"{_TITAN}; 756.45 in hmc-tech.com/gpu/nvidia-h100-vs-nvidia-a100-sxm-40gb",
    ),
    Accelerator(name="H100-NVL", peak_flops=835e12, ray_type="H100", source=_TITAN),
    Accelerator(
        name="H200",
        peak_flops=989e12,
        memory_bytes=141 * _GB,
        aliases=("H200-SXM",),
        device_names=("H200",),
        source=f"{_TITAN}; {_MLPERF}",
    ),
    Accelerator(name="GH200", peak_flops=989.5e12, chips_per_host=1, source=_HOPPER),
    Accelerator(
        name="B200",
        peak_flops=2250e12,
        memory_bytes=180 * _GB,
        aliases=("HGX-B200", "B200-SXM"),
        device_names=("B200",),
        source=f"{_BLACKWELL}: 2250 at 1000 W, with sparsity 4500; {_MLPERF}: 180 GB",
    ),
    Accelerator(
        name="GB200",
        peak_flops=2500e12,
        chips_per_host=4,
        memory_bytes=186 * _GB,
        source=f"{_BLACKWELL}: 2500 a GPU at 1200 W, with sparsity 5000; {_MLPERF}: 186 GB, 4 a node",
    ),
    Accelerator(name="L40", peak_flops=181.05e12, memory_bytes=48 * _GB, source=f"{_ADA}: 181.05, with sparsity 362.1"),
    Accelerator(name="L40S", peak_flops=362.05e12, memory_bytes=48 * _GB, source=f"{_ADA}: 362.05, with sparsity 733"),
    Accelerator(
        name="MI300X",
        peak_flops=1307.4e12,
        memory_bytes=192 * _GB,
        aliases=("AMD-MI300X", "Instinct-MI300X"),
        device_names=("MI300X",),
        ray_type="AMD-Instinct-MI300X-OAM",
        source="AMD's specification, as in github.com/alpharomercoma/MI300X-vs-H200, METHODOLOGY.md: BF16 dense 1307.4; MLCommons: 192 GB",
    ),
)
"""A row each."""
