"""The accelerators that are shipped: one row each, and beside it where its numbers were read.

Peak FLOP/s are dense bfloat16, of one chip; of a V100, which has no bfloat16, dense float16. Many data sheets print the number with
sparsity, which is twice that. Those of a GeForce are with sums in float32, as JAX and PyTorch ask for: half of those in float16.
A row has a source that was read; a card without one is added by `accelerators:` in the experiments file.
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
_LIGHTNING = "NVIDIA's data sheets, as in lightning/fabric/utilities/throughput.py (github.com/Lightning-AI/pytorch-lightning)"
_VERL = "verl/utils/flops_counter.py (github.com/volcengine/verl)"
_NANOCHAT = "nanochat/common.py (github.com/LoopedLMs/looped_nanochat)"
_TITAN_FILE = "torchtitan/tools/utils.py (github.com/pytorch/torchtitan)"
_TITAN = f"NVIDIA's product pages, as cited in {_TITAN_FILE}"
_MLPERF = "MLCommons Inference, system descriptions (github.com/mlcommons/inference_results_v4.1 … v6.1)"
_BLACKWELL = "NVIDIA Blackwell technical brief, as in glennklockwood.com/garden/processors/B200"
_ADA = "NVIDIA L40 and L40S data sheets, as in mullet.se/product.html?product_id=355414"
_HOPPER = "github.com/feifeibear/LLMRoofline, hardware_dict.py"
_TRAINIUM = "AWS Neuron documentation: awsdocs-neuron.readthedocs-hosted.com, about-neuron/arch/neuron-hardware"

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
    Accelerator(
        name="V100",  # with 16 or 32 GB
        peak_flops=125e12,  # float16
        aliases=("V100-SXM", "V100-SXM2"),
        device_names=("V100-SXM2", "V100-SXM3"),
        source=f"{_LIGHTNING}: float16 125; developer.nvidia.com/programming-tensor-cores-cuda-9-0: up to 125",
    ),
    Accelerator(
        name="V100-PCIe",  # with 16 or 32 GB; a V100S is another card
        peak_flops=112e12,  # float16
        ray_type="V100",
        source=f"{_LIGHTNING}: float16 112; io-tech.fi/uutinen/nvidia-esitteli-tesla-v100-pci-express-kiihdyttimen-tieteelliseen-laskentaan",
    ),
    Accelerator(
        name="A10",  # the A10G of AWS is another card
        peak_flops=125e12,
        memory_bytes=24 * _GB,
        source=f"{_LIGHTNING}: 125 in the A10's, there under A10G; sysrqmts.com, A10 PCIe: 72 SMs at 1695 MHz are 124.96; 24 GB",
    ),
    Accelerator(
        name="A40",
        peak_flops=149.7e12,
        memory_bytes=48 * _GB,
        source=f"NVIDIA A40 data sheet, as in ecer.com (900-2G133-0000-000): 149.7, with sparsity 299.4; 48 GB; {_VERL}: 149.7",
    ),
    Accelerator(
        name="A100",
        peak_flops=312e12,
        memory_bytes=80 * _GB,
        aliases=("A100-80GB", "A100-80", "A100-80G"),
        device_names=("A100",),
        source=_A100,
    ),
    Accelerator(
        name="A100-40GB",
        peak_flops=312e12,
        memory_bytes=40 * _GB,
        aliases=("A100-40", "A100-40G"),
        device_names=("A100-SXM4-40GB", "A100-PCIe-40GB"),
        ray_type="A100",
        source=f"{_A100}; hmc-tech.com/gpu/nvidia-l4-vs-nvidia-a100-40gb: 311.87",
    ),
    Accelerator(
        name="H20",
        peak_flops=148e12,
        memory_bytes=96 * _GB,
        source=f"{_HOPPER}; github.com/citsjtu2020/LLM-Prof, hardware_spec.md; {_VERL}: 148",
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
    Accelerator(
        name="GH200",  # with 96 or 144 GB
        peak_flops=989.5e12,
        chips_per_host=1,
        source=f"{_HOPPER}; a GPU of 132 SMs (wikimili.com/en/Hopper_(microarchitecture)), as an H100 SXM, which has 989.4 "
        f"(glennklockwood.com/garden/processors/h100); {_MLPERF}: 1 a node",
    ),
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
    Accelerator(
        name="B300",
        peak_flops=2250e12,
        memory_bytes=270 * _GB,
        aliases=("HGX-B300", "B300-SXM"),
        device_names=("B300",),
        source="glennklockwood.com/garden/processors/B300: 2250, with sparsity 4500; verda.com/blog/gb300-nvl72-architecture: 2250, 270 GB; "
        "MLCommons Training 6.0: B300-SXM-270GB, 8 a node",
    ),
    Accelerator(
        name="L4",
        peak_flops=121e12,
        memory_bytes=24 * _GB,
        source=f"{_LIGHTNING}: 121; grokipedia.com/page/NVIDIA_L4_vs_L40S: with sparsity 242; 24 GB",
    ),
    Accelerator(name="L40", peak_flops=181.05e12, memory_bytes=48 * _GB, source=f"{_ADA}: 181.05, with sparsity 362.1"),
    Accelerator(name="L40S", peak_flops=362.05e12, memory_bytes=48 * _GB, source=f"{_ADA}: 362.05, with sparsity 733"),
    Accelerator(
        name="RTX-3090",
        peak_flops=71e12,
        memory_bytes=24 * _GB,
        ray_type="GeForce-RTX-3090",
        source=f"{_NANOCHAT}: 71; holynerdvana.blogspot.com, Nvidia GeForce RTX 3090 Specifications: float16 142, with sparsity 285, 24 GB; "
        "github.com/Zagitta/gpu-unlock: with sums in float32 half of that",
    ),
    Accelerator(
        name="RTX-4090",
        peak_flops=165.2e12,
        memory_bytes=24 * _GB,
        ray_type="GeForce-RTX-4090",
        source=f"{_NANOCHAT}: 165.2; gigagpu.com/rtx-4090-24gb-tflops-ai-benchmark-class: 165.2, with sparsity 330.3; 24 GB",
    ),
    Accelerator(
        name="RTX-5090",
        peak_flops=209.5e12,
        memory_bytes=32 * _GB,
        ray_type="GeForce-RTX-5090",
        source=f"{_NANOCHAT}: 209.5; main-horse.github.io/posts/5090-mm-perf: 209.5; codesota.com/hardware/rtx-5090: dense 209.5; 32 GB",
    ),
    Accelerator(
        name="MI250X",  # one of the two GPUs of a card: ROCm, JAX and Ray show each as a device of its own
        peak_flops=191.5e12,
        memory_bytes=64 * _GB,
        aliases=("AMD-MI250X", "Instinct-MI250X"),
        device_names=("MI250X",),
        ray_type="AMD-Instinct-MI250X",
        source=f"AMD's product page, as in {_TITAN_FILE}: 191.5 a GPU; zexron.com, AMD MI250(X): 383.0 a card; "
        "pawsey.atlassian.net, Setonix: 64 GB a GPU, 8 a node",
    ),
    Accelerator(
        name="MI300X",
        peak_flops=1307.4e12,
        memory_bytes=192 * _GB,
        aliases=("AMD-MI300X", "Instinct-MI300X"),
        device_names=("MI300X",),
        ray_type="AMD-Instinct-MI300X-OAM",
        source="AMD's specification, as in github.com/alpharomercoma/MI300X-vs-H200, METHODOLOGY.md: BF16 dense 1307.4; MLCommons: 192 GB",
    ),
    Accelerator(
        name="MI325X",
        peak_flops=1307.4e12,
        memory_bytes=256 * _GB,
        aliases=("AMD-MI325X", "Instinct-MI325X"),
        device_names=("MI325X",),
        ray_type="AMD-Instinct-MI325X-OAM",
        source=f"{_NANOCHAT}: 1307.4; awesomeagents.ai/hardware/amd-mi325x: 1307.4; MLCommons Inference 5.0: 256 GB, 8 a node",
    ),
    Accelerator(
        name="MI355X",
        peak_flops=2516.6e12,
        memory_bytes=288 * _GB,
        aliases=("AMD-MI355X", "Instinct-MI355X"),
        device_names=("MI355X",),
        ray_type="AMD-Instinct-MI355X-OAM",
        source=f"{_NANOCHAT}: 2500; rooflinenotes.dev/accelerators: 2500; more exactly 256 CUs (rocm.docs.amd.com, gpu-specs) of 4096 FLOP "
        "a cycle at 2.4 GHz; MLCommons Inference 6.0: 288 GB, 8 a node",
    ),
    Accelerator(
        name="Gaudi-3",
        peak_flops=1835e12,
        memory_bytes=128 * _GB,
        aliases=("Gaudi3", "HL-325L"),
        device_names=("GAUDI3",),  # as habana_frameworks.torch.hpu calls it
        source="Intel at Hot Chips 2024, as in sgpjbg.com/baogao/465025.html: BF16 matrix 1835; evokernel-specs.pages.dev/hardware/gaudi-3; "
        "huggingface.co/docs/transformers/perf_train_gaudi: 128 GB, 8 a server",
    ),
    Accelerator(
        name="Trainium1",
        peak_flops=190e12,
        cores_per_chip=2,
        chips_per_host=16,
        memory_bytes=32 * _GIB,
        aliases=("Trainium", "Trn1"),
        source=f"{_TRAINIUM}, trainium and trn1-arch: 190, 2 cores, 32 GiB, 16 a node",
    ),
    Accelerator(
        name="Trainium2",
        peak_flops=667e12,
        cores_per_chip=8,
        chips_per_host=16,
        devices_per_chip=4,  # by default JAX shows two cores as one device: github.com/ai-dynamo/nixl, pull request 1994
        memory_bytes=96 * _GIB,
        aliases=("Trn2",),
        device_names=("NC_v3d",),  # of two cores: neuron_attention.py (github.com/Borklet-Labs/axlearn)
        source=f"{_TRAINIUM}, trainium2 and trn2-arch: 667, with sparsity 2563, 8 cores, 96 GiB, 16 a node",
    ),
    Accelerator(
        name="Trainium3",
        peak_flops=671e12,
        cores_per_chip=8,
        chips_per_host=4,
        memory_bytes=144 * _GIB,
        aliases=("Trn3",),
        source=f"{_TRAINIUM}, trainium3 and trn3-arch: 671, with sparsity 2517, 8 cores, 144 GiB, 4 a server of an UltraServer of 144",
    ),
)
"""A row each."""
