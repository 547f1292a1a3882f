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
}
DRIVERS = {
    "A100": "NVIDIA A100-SXM4-80GB",
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
    assert DRIVERS.keys() | {"cpu", "gpu"} == ACCELERATORS.keys()


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
        "NVIDIA GeForce RTX 5090",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
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
    card = Accelerator(name="RTX-5090", peak_flops=209.5e12, aliases=("5090",), memory_bytes=32 * 10**9)
    assert accelerator("5090", [card]) is card
    assert accelerator_of_device("NVIDIA GeForce RTX 5090", [card]) is card
    assert Accelerator.from_dict(card.to_dict()) == card
    own = Accelerator(name="capped", peak_flops=500e12, device_names=("NVIDIA H100 80GB HBM3",))
    assert accelerator_of_device("NVIDIA H100 80GB HBM3", [own]) is own


def test_the_line_about_an_unknown_device_holds_what_the_file_needs():
    line = how_to_add("NVIDIA GeForce RTX 5090")
    assert "\n" not in line
    assert "{name: GeForce-RTX-5090, peak_flops: " in line
    assert re.search(r'device_names: \["NVIDIA GeForce RTX 5090"\]', line)
