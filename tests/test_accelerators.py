"""The table of accelerators: against numbers typed from the sources, and against what JAX knows of TPUs."""

import re

import pytest

from scaling.accelerators import ACCELERATORS, Accelerator, accelerator, accelerator_of_device, how_to_add
from scaling.errors import UnknownName

DENSE_BF16_TERAFLOPS = {
    "TPU-v5p": 459,  # docs.cloud.google.com/tpu/docs/tpu7x: "Peak compute per chip (BF16) (TFLOPs)": v5p 459, v6e 918, TPU7x 2307
    "TPU-v6e": 918,
    "TPU-v7": 2307,
    "A100": 624 / 2,  # NVIDIA A100 data sheet: BF16 312, with sparsity 624
    "H100-PCIe": 1513 / 2,  # with sparsity
    "H100-NVL": 835,  # torchtitan/tools/utils.py, from NVIDIA's H100 page
    "H20": 148,  # feifeibear/LLMRoofline, hardware_dict.py
    "GH200": 989.5,  # the same file
    "B200": 4500 / 2,  # NVIDIA Blackwell technical brief: HGX B200 at 1000 W, BF16 with sparsity 4500; GB200 at 1200 W, 5000
    "GB200": 5000 / 2,
    "L40": 362.1 / 2,  # NVIDIA L40 data sheet: "181.05 | 362.1*", * with sparsity
    "L40S": 362.05,  # NVIDIA L40S data sheet: "362.05 | 733*"
    "MI300X": 2614.9 / 2,  # AMD: FP8 dense 2614.9, BF16 dense half of that, 1307.4
    "V100": 125,  # float16; NVIDIA V100 data sheet, in Lightning's throughput.py: SXM2 125, PCIe 112, V100S 130
    "V100-PCIe": 112,
    "A10": 250 / 2,  # NVIDIA A10 data sheet, in the same file: bfloat16 125, int8 250, int4 500
    "A40": 299.4 / 2,  # NVIDIA A40 data sheet: "Peak BF16 Tensor TFLOPS with FP32 Accumulate 149.7 | 299.4*"
    "A100-40GB": 624 / 2,  # that of the A100: "Its FLOPS were the same, but its memory was different" (glennklockwood.com)
    "B300": 4500 / 2,  # glennklockwood.com: BF16 2250, with sparsity 4500; a GB300 has 2500
    "L4": 242 / 2,  # NVIDIA L4 data sheet: with sparsity 242
    "RTX-3090": 142 / 2,  # FP16 142 with sums in FP16, half of it in FP32
    "RTX-4090": 330.3 / 2,  # gigagpu.com: "BF16 / FP16 (FP32 accum) 165.2", with sparsity 330.3
    "RTX-5090": 419 / 2,  # main-horse.github.io: f16 with 32-bit sums 209.5, with 16-bit ones 419
    "MI250X": 383 / 2,  # AMD: "Up to 383.0 TF" of a card, which is two GPUs
    "MI325X": 2614.9 / 2,  # awesomeagents.ai: FP8 2614.9, BF16 1307.4
    "MI355X": 2516.6,  # AMD rounds it to 2.5 PFLOP/s; see CLOCKED
    "Gaudi-3": 1835,  # Intel, Hot Chips 2024: "Peak Compute (BF16) 60 | 432 | 1835 TFLOPs"
    "Trainium1": 3040 / 16,  # AWS: 190 a chip, 3,040 of the 16 of a trn1.32xlarge
    "Trainium2": 667,  # AWS: "667 BF16/FP16/TF32 TFLOPS", with sparsity 2563
    "Trainium3": 96624 / 144,  # AWS: 671 a chip, 96,624 of the 144 of a Trn3 Gen2 UltraServer
}
CLOCKED = {  # units, FLOP of one in a cycle, GHz at boost: what multiplies to a peak, where the vendor names it
    "V100": (80, 1024, 1.53),  # 80 SMs of 8 tensor cores, which do 64 FMA each (io-tech.fi); RajBhope/gpu-runtime-predictor: clocks
    "A10": (72, 1024, 1.695),  # sysrqmts.com, A10 PCIe
    "A40": (84, 1024, 1.74),  # gpu.spicedreamphone.com, A40 PCIe
    "A100": (108, 2048, 1.41),
    "RTX-3090": (82, 512, 1.695),  # of a GeForce with sums in FP32: half of an A10's SM
    "RTX-4090": (128, 512, 2.52),  # tomshardware.com, RTX 5090 versus RTX 4090
    "RTX-5090": (170, 512, 2.407),
    "GH200": (132, 4096, 1.83),  # wikimili.com: 132 SMs; glennklockwood.com/garden/processors/h100: 1.83 GHz at low precision
    "MI250X": (110, 1024, 1.7),  # CUs; AMD matrix cores (gpuopen.com): 1024 FLOP a cycle and CU in BF16
    "MI325X": (304, 2048, 2.1),  # rocm.docs.amd.com, gpu-specs
    "MI355X": (256, 4096, 2.4),  # ISSCC 2026: FP8 8192 a CU, twice an MI300X's
}
MEMORY = {
    "TPU-v5p": 95 * 2**30,  # the same page: "HBM capacity per chip (GiB)": 95, 32, 192
    "TPU-v6e": 32 * 2**30,
    "TPU-v7": 192 * 2**30,
    "B200": 180e9,  # MLCommons Inference 6.0: "NVIDIA B200-SXM-180GB", 8 a node
    "GB200": 186e9,  # MLCommons Inference 6.1: "186 GB", 4 a node
    "H200": 141e9,  # MLCommons Inference 4.1: "NVIDIA H200-SXM-141GB", 8 a node
    "MI300X": 192e9,  # MLCommons Inference 4.1: "AMD Instinct MI300X-NPS1-SPX-192GB-750W", 8 a node
    "L40S": 48e9,  # NVIDIA L40S data sheet
    "A10": 24e9,
    "A40": 48e9,
    "A100": 80e9,
    "A100-40GB": 40e9,
    "B300": 270e9,  # MLCommons Training 6.0: "NVIDIA Blackwell Ultra GPU (B300-SXM-270GB)", 8 a node; its HBM3e is 288
    "L4": 24e9,
    "RTX-3090": 24e9,
    "RTX-4090": 24e9,
    "RTX-5090": 32e9,
    "MI250X": 128e9 / 2,  # Pawsey's Setonix: 64 GB a GPU, 128 a card, 512 a node
    "MI325X": 256e9,  # MLCommons Inference 5.0: "AMD Instinct MI325X 256GB HBM3E", 8 a node
    "MI355X": 288e9,  # MLCommons Inference 6.0: "AMD Instinct MI355X 288GB HBM3e", 8 a node
    "Gaudi-3": 128e9,
    "Trainium1": 512 / 16 * 2**30,  # AWS: 512 GiB of a trn1.32xlarge, 1,536 of a trn2.48xlarge, 20,736 of an UltraServer
    "Trainium2": 1536 / 16 * 2**30,
    "Trainium3": 20736 / 144 * 2**30,
}
DRIVERS = {
    "V100": "Tesla V100-SXM2-16GB",
    "V100-PCIe": "Tesla V100-PCIE-32GB",
    "A10": "NVIDIA A10",
    "A40": "NVIDIA A40",
    "A100": "NVIDIA A100-SXM4-80GB",
    "A100-40GB": "NVIDIA A100-SXM4-40GB",
    "B300": "NVIDIA B300 SXM6 AC",
    "L4": "NVIDIA L4",
    "RTX-3090": "NVIDIA GeForce RTX 3090",
    "RTX-4090": "NVIDIA GeForce RTX 4090",
    "RTX-5090": "NVIDIA GeForce RTX 5090",
    "MI250X": "AMD Instinct MI250X",
    "MI325X": "AMD Instinct MI325X",
    "MI355X": "AMD Instinct MI355X",
    "Gaudi-3": "GAUDI3",
    "Trainium2": "NC_v3d",
    "H100": "NVIDIA H100 80GB HBM3",
    "H100-PCIe": "NVIDIA H100 PCIe",
    "H100-NVL": "NVIDIA H100 NVL",
    "H200": "NVIDIA H200",
    "GH200": "NVIDIA GH200 480GB",
    "B200": "NVIDIA B200",
    "GB200": "NVIDIA GB200",
    "L40": "NVIDIA L40",
    "L40S": "NVIDIA L40S",
    "MI300X": "AMD Instinct MI300X",
    "H20": "NVIDIA H20",
    "TPU-v2": "TPU v2",
    "TPU-v3": "TPU v3",
    "TPU-v4": "TPU v4",
    "TPU-v5e": "TPU v5 lite",
    "TPU-v5p": "TPU v5",
    "TPU-v6e": "TPU v6 lite",
    "TPU-v7": "TPU7x",
}
"""What drivers call them, as `device_kind` shows it."""
NAMELESS = {"cpu", "gpu", "Trainium1", "Trainium3"}
"""Of these no source was read for what JAX calls them."""
OLD = {"cpu", "gpu", "TPU-v2", "TPU-v3", "TPU-v4", "TPU-v5e", "H100", "H200"}


@pytest.mark.parametrize("name", DENSE_BF16_TERAFLOPS)
def test_a_peak_is_what_its_source_says(name):
    assert accelerator(name).peak_flops / 1e12 == pytest.approx(DENSE_BF16_TERAFLOPS[name], rel=1e-3)


@pytest.mark.parametrize("name", MEMORY)
def test_a_memory_is_what_its_source_says(name):
    assert accelerator(name).memory_bytes == MEMORY[name]


def test_every_row_has_its_numbers_and_its_driver_here():
    """`OLD` are those that the table had before; of the TPUs among them JAX knows the peaks, see below."""
    assert DENSE_BF16_TERAFLOPS.keys() | OLD == ACCELERATORS.keys()
    assert DRIVERS.keys() | NAMELESS == ACCELERATORS.keys()


@pytest.mark.parametrize("name", CLOCKED)
def test_a_peak_is_that_of_its_units_at_their_clock(name):
    """One with sparsity, with sums in half precision, or of another form of the card would not be."""
    units, flops, clock = CLOCKED[name]
    assert accelerator(name).peak_flops == pytest.approx(units * flops * clock * 1e9, rel=0.005)


def test_every_row_names_its_source_and_is_sensible():
    for kind in ACCELERATORS.values():
        assert kind.source, kind.name
        assert kind.cores_per_chip % kind.devices_per_chip == 0
        if kind.is_any:
            continue
        assert kind.peak_flops_per_core * kind.cores_per_chip == pytest.approx(kind.peak_flops)
    names = [name for kind in ACCELERATORS.values() for name in (kind.name, *kind.aliases)]
    assert len(names) == len(set(names))


def test_tpus_are_as_jax_has_them():
    """JAX's own table, for its kernels: FLOP/s and memory of one core, rounded."""
    tpus = pytest.importorskip("jax._src.pallas.mosaic.tpu_info")
    compared = 0
    for kind in ACCELERATORS.values():
        for device_kind in kind.device_names if kind.is_tpu else ():
            version = tpus.chip_version_from_device_kind(device_kind)
            assert version is not None, device_kind
            assert kind.cores_per_chip == version.num_physical_tensor_cores_per_chip
            assert kind.devices_per_chip == (1 if version.supports_megacore else kind.cores_per_chip)
            if kind.name not in ("TPU-v2", "TPU-v3"):  # 46 and 140 there, 45 and 123 in Google's documentation
                of_jax = tpus._get_tpu_info_impl(version, 1).bf16_ops_per_second
                assert of_jax == pytest.approx(kind.peak_flops_per_core, rel=0.01)
                compared += 1
    assert compared >= 7


@pytest.mark.parametrize("name", DRIVERS)
def test_a_device_is_known_by_what_its_driver_says(name):
    assert accelerator_of_device(DRIVERS[name]).name == name


@pytest.mark.parametrize(
    "driver",
    [
        "NVIDIA GeForce RTX 5080",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A10-24Q",
        "NVIDIA A40-8Q",
        "GRID A100-1-5C",
        "GRID V100D-8Q",
        "NVIDIA A10G",
        "Tesla V100S-PCIE-32GB",
        "Tesla V100-FHHL-16GB",
        "NVIDIA H200 NVL",
        "NVIDIA L20",
        "NVIDIA GB300",
        "NVIDIA RTX A4000",
        "AMD Instinct MI250X/MI250",
        "AMD Instinct MI250",
        "AMD Instinct MI350X",
        "GAUDI2",
        "NC_v3",
        "TPU v5 something",
        "NVIDIA A1000",
        "AMD Instinct MI300A",
        "Intel Data Center GPU Max 1550",
        "",
    ],
)
def test_another_device_is_not_taken_for_one_of_these(driver):
    assert accelerator_of_device(driver) is None


def test_an_alias_is_the_same_and_a_wrong_name_gets_the_nearest():
    assert accelerator("TPU7x") is accelerator("Ironwood") is accelerator("TPU-v7")
    for wrong, meant in (("h10", "H100"), ("tpu-v4", "TPU-v4"), ("ironwod", "Ironwood")):
        with pytest.raises(UnknownName, match=f'did you mean "{meant}"') as caught:
            accelerator(wrong)
        assert "`accelerators:`" in caught.value.hint


def test_a_declared_card_comes_first_and_travels_as_json():
    card = Accelerator(name="RTX-5080", peak_flops=112.6e12, aliases=("5080",), memory_bytes=16 * 10**9)
    assert accelerator("5080", [card]) is card
    assert accelerator_of_device("NVIDIA GeForce RTX 5080", [card]) is card
    laptop = Accelerator(name="RTX-5080-Laptop", peak_flops=50e12)
    assert accelerator_of_device("NVIDIA GeForce RTX 5080 Laptop GPU", [card, laptop]) is laptop
    assert Accelerator.from_dict(card.to_dict()) == card
    own = Accelerator(name="capped", peak_flops=500e12, device_names=("NVIDIA H100 80GB HBM3",))
    assert accelerator_of_device("NVIDIA H100 80GB HBM3", [own]) is own


def test_the_line_about_an_unknown_device_holds_what_the_file_needs():
    line = how_to_add("NVIDIA GeForce RTX 5080")
    assert "\n" not in line
    assert "{name: GeForce-RTX-5080, peak_flops: " in line
    assert re.search(r'device_names: \["NVIDIA GeForce RTX 5080"\]', line)
