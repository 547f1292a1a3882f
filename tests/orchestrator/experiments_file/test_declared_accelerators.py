"""A card that a user declares: from the file to plan, store, core-hours, page and JSON, without the file; and what is refused."""

import json
import subprocess
import sys

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from orchestrator.cluster import DeviceRequest
from orchestrator.cluster.trainers import RehearsedTrainer
from orchestrator.experiments_file import read_spec
from orchestrator.messages import Assignment
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.resources import Resources
from orchestrator.store import Store, ledger
from orchestrator.store.models import Run
from scaling.accelerators import ACCELERATORS
from scaling.errors import DataNotFound, SpecError
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import an_assignment

GOOD = """\
name: tiny
dataset: {name: digits}
models: [nano-F0]
epochs: [1]
batch_size: 64
learning_rate: 1.6
resources: {accelerator: NPU-9, chips: 4}
accelerators:
  - {name: NPU-9, peak_flops: 2e14, cores_per_chip: 2, chips_per_host: 4, memory_gb: 64, price: 1.5, aliases: [nine], ray_type: Some-NPU}
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SCALING_ACCELERATORS", raising=False)

    def write_and_read(text):
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return read_spec(path)

    return write_and_read


@pytest.fixture
def faults(read):
    def of(text):
        with pytest.raises(SpecError) as caught:
            read(text)
        return [str(fault).split("grid.yaml:")[1] for fault in caught.value.faults]

    return of


def test_a_plan_counts_its_cores_and_estimates_by_its_peak(read):
    plan = make_plan(*read(GOOD))
    (run,) = plan.runs
    assert run.cores == 8
    assert run.estimated_core_hours == pytest.approx(run.train_flops / (2e14 / 2 * 0.3) / 3600)
    assert make_plan(*read(GOOD.replace("accelerator: NPU-9", "accelerator: nine"))).resources == plan.resources
    request = DeviceRequest.of(plan.resources)
    assert (request.hosts, request.need.num_gpus, list(request.need.resources)) == (1, 4, ["accelerator_type:Some-NPU"])


def test_the_ids_of_its_runs_are_those_on_any_other(read):
    mine, on_h100 = make_plan(*read(GOOD)), make_plan(*read(GOOD.replace("accelerator: NPU-9", "accelerator: H100")))
    assert [run.id for run in mine.runs] == [run.id for run in on_h100.runs]
    assert on_h100.resources.card is None
    assert "card" not in on_h100.resources.to_dict()


def test_the_card_goes_with_the_run_to_the_store_the_ledger_the_json_and_the_page(read, tmp_path):
    plan, url = make_plan(*read(GOOD)), str(tmp_path / "scaling.db")
    with Store.open(url) as store:
        accept_plan(store, plan)
    (tmp_path / "grid.yaml").unlink()

    with Store.open(url) as store, store.write() as session:
        (run,) = session.query(Run).all()
        held = run.resources
        assert (held.cores, held.kind.peak_flops, held.kind.memory_bytes) == (8, 2e14, 64 * 10**9)
        allocation = ledger.open_allocation(
            session, scheduler="me", shape=run.shape, accelerator=held.accelerator, cores=held.cores
        )
        grant = ledger.begin_attempt(session, run.id, allocation_id=allocation, home="/home")
        charge = ledger.Charge(useful=1800.0)
        ledger.end_attempt(
            session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=charge, result={"val_loss": 1.0}
        )
    assert grant.resources == plan.resources

    client = TestClient(create_app(url))
    (row,) = client.get("/api/v1/runs").json()["runs"]
    assert (row["accelerator"], row["cores"], row["core_hours"]) == ("NPU-9", 8, 4.0)
    page = client.get(f"/runs/{row['id']}").text
    assert "NPU-9, 8 cores" in page


def test_another_process_knows_it_from_the_assignment(read):
    plan = make_plan(*read(GOOD))
    told = json.dumps(an_assignment(resources=plan.resources).to_dict())
    program = (
        "import json, sys; from orchestrator.messages import Assignment\n"
        "held = Assignment.from_dict(json.load(sys.stdin)).resources; print(held.cores, held.kind.name, held.kind.on_ray)"
    )
    told = subprocess.run([sys.executable, "-c", program], input=told, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["8", "NPU-9", "Some-NPU"]


def test_a_rehearsal_is_placed_on_it(read):
    plan = make_plan(*read(GOOD + "simulate: {speed: 10, chips: 8}\n"))
    assert (plan.resources.cores, DeviceRequest.of(plan.resources).pool) == (8, "stated NPU-9")
    assignment = Assignment.from_dict(an_assignment(resources=plan.resources).to_dict())
    assert RehearsedTrainer().prepare(assignment).device == "NPU-9"


def test_a_card_of_the_table_may_change_what_is_not_its_speed(read):
    text = GOOD.replace("NPU-9, chips: 4", "A100, chips: 8").split("accelerators:")[0]
    plan = make_plan(*read(text + "accelerators: [{name: A100, chips_per_host: 4, price: 2}]\n"))
    assert DeviceRequest.of(plan.resources).hosts == 2
    assert (plan.resources.kind.peak_flops, plan.resources.accelerator) == (ACCELERATORS["A100"].peak_flops, "A100")
    assert Resources.from_dict(plan.resources.to_dict()) == plan.resources
    only_a_price = make_plan(*read(text + "accelerators: [{name: A100, price: 2}]\n"))
    assert only_a_price.resources.card is None


def test_any_gpu_has_no_estimate_and_no_rehearsal(read, faults):
    text = GOOD.split("accelerators:")[0].replace("NPU-9, chips: 4", "gpu, chips: 1")
    plan = make_plan(*read(text))
    assert (plan.runs[0].estimated_core_hours, plan.runs[0].cores) == (0.0, 1)
    assert faults(text + "simulate: {}\n") == [
        "7: resources.accelerator: a rehearsal goes by the speed of an accelerator: name one in place of gpu"
    ]


def test_any_gpu_knows_the_cards_of_the_file_and_of_the_settings(read, tmp_path, monkeypatch):
    """Its driver may name one of them, so they go with the run; a run on a named accelerator has its own card alone."""
    settings = tmp_path / "cards.yaml"
    settings.write_text("accelerators: [{name: Theirs, peak_flops: 3e14, cores_per_chip: 4}]\n")
    monkeypatch.setenv("SCALING_ACCELERATORS", str(settings))
    held = make_plan(*read(GOOD.replace("NPU-9, chips: 4", "gpu, chips: 2"))).resources
    assert [card.name for card in held.declared] == ["NPU-9", "Theirs"]
    assert Resources.from_dict(json.loads(json.dumps(held.to_dict()))) == held
    drivers = {"Some NPU-9 80GB": ("NPU-9", 4), "Theirs": ("Theirs", 8), "NVIDIA H200": ("H200", 2), "Unknown": ("Unknown", 2)}
    assert {driver: held.given(driver) for driver in drivers} == drivers
    named = make_plan(*read(GOOD)).resources
    assert ([card.name for card in named.declared], named.given("NVIDIA H200")) == (["NPU-9"], ("NPU-9", 8))


def test_an_alias_of_the_table_is_its_name(read):
    plan = make_plan(*read(GOOD.replace("accelerator: NPU-9, chips: 4", "accelerator: Ironwood, topology: 2x2x2")))
    assert (plan.resources.accelerator, plan.resources.cores, plan.resources.card) == ("TPU-v7", 16, None)


def test_a_card_that_the_table_has_by_now_may_be_declared_as_it_is_there(read):
    """A file that declared it before the table had it is taken as before."""
    card = "{name: A10, peak_flops: 125e12, cores_per_chip: 1, memory_gb: 24, price: 0.75}"
    plan = make_plan(*read(GOOD.split("accelerators:")[0].replace("NPU-9", "A10") + f"accelerators: [{card}]\n"))
    assert (plan.resources.kind.peak_flops, plan.resources.cores) == (ACCELERATORS["A10"].peak_flops, 4)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("  - {name", "  - {name: NPU-9, peak_flops: 1e14}\n  - {name"), "10: accelerators[1]: accelerator 'NPU-9' is declared twice"),
        (("memory_gb", "memory"), "9: accelerators[0].memory: unknown key 'memory'; did you mean \"memory_gb\"? (allowed: name, peak_flops"),
        (("peak_flops: 2e14, ", ""), "9: accelerators[0]: key 'peak_flops' is missing: FLOP/s of one chip"),
        (("2e14", "200"), "9: accelerators[0].peak_flops: 200 is not allowed: peak_flops is in FLOP/s, 1e+09 … 1e+18; 200 TFLOP/s are 2e+14"),
        (("2e14", "-2e14"), "9: accelerators[0].peak_flops: -200000000000000 is not allowed: it must be greater than 0"),
        (("2e14", "fast"), "9: accelerators[0].peak_flops: 'fast': "),
        (("cores_per_chip: 2", "cores_per_chip: 0"), "9: accelerators[0].cores_per_chip: 0 is not allowed: it must be greater than"),
        (("cores_per_chip: 2", "cores_per_chip: 1.5"), "9: accelerators[0].cores_per_chip: 1.5: "),
        (("price: 1.5", "price: -1"), "9: accelerators[0].price: -1 is not allowed: it must be greater than 0"),
        (("{name: NPU-9", '{name: ""'), "9: accelerators[0]"),
        (("aliases: [nine]", "aliases: [Ironwood]"), "9: accelerators[0].aliases[0]: 'Ironwood' is a name of TPU-v7"),
        (("accelerator: NPU-9", "accelerator: NPU-8"), "7: resources.accelerator: unknown accelerator 'NPU-8'; did you mean \"NPU-9\"?"),
        (("{name: NPU-9, peak", "{name: H100, peak"), "9: accelerators[0].peak_flops: H100 is in the table, and its peak_flops is fixed"),
        (("{name: NPU-9, peak", "{name: Trillium, peak"), "9: accelerators[0].name: 'Trillium' is another name of TPU-v6e"),
        (("{name: NPU-9, peak", "{name: TPU-v9, peak"), "9: accelerators[0].name: a TPU is asked for by its slice"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_line(faults, given, line):
    first, *more = faults(GOOD.replace(*given, 1))
    assert first.startswith(line)
    if "{name: " not in given[0]:  # it has its name still
        assert not [fault for fault in more if "unknown accelerator" in fault]


def test_a_dry_run_refuses_it(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(GOOD.replace("  - {name", "  - {name: NPU-9, peak_flops: 1e14}\n  - {name", 1))
    command = [sys.executable, "-c", "from scaling.cli import main; main()", "submit", str(path), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "grid.yaml:10: accelerators[1]: accelerator 'NPU-9' is declared twice" in done.stderr


def test_settings_declare_it_for_every_file_and_the_file_comes_first(read, tmp_path, monkeypatch):
    file, declared = GOOD.split("accelerators:")
    settings = tmp_path / "config" / "scaling" / "accelerators.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"accelerators:{declared}")
    plan = make_plan(*read(file))
    assert plan.resources == make_plan(*read(GOOD)).resources
    assert plan.resolved["accelerators"][0]["name"] == "NPU-9"
    assert make_plan(*read(GOOD.replace("2e14", "3e14"))).resources.kind.peak_flops == 3e14
    assert make_plan(*read(file.replace("NPU-9, chips", "H100, chips"))).resolved["accelerators"] == []

    settings.write_text(f"accelerators:{declared}".replace("2e14", "200"))
    with pytest.raises(SpecError, match=r"accelerators.yaml:2: accelerators\[0\].peak_flops: 200 is not allowed"):
        read(file)
    settings.write_text("acelerators: []\n")
    with pytest.raises(SpecError, match=r"accelerators.yaml:1: acelerators: unknown key 'acelerators'"):
        read(file)
    monkeypatch.setenv("SCALING_ACCELERATORS", str(tmp_path / "none.yaml"))
    with pytest.raises(DataNotFound, match=r"there is no file .*none.yaml"):
        read(file)
