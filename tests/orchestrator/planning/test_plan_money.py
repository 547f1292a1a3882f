"""Money in the experiments file: what is read and refused, what a plan costs, and when `submit` asks first."""

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.candidates import candidate_cells
from orchestrator.planning.plan import make_plan
from orchestrator.planning.priced import Priced
from orchestrator.store import Store
from scaling.cli import plan_table
from scaling.cli.app import app
from scaling.errors import SpecError

FILE = """\
name: priced
dataset: {{name: declared, title: T, train_examples: 100000, validation_examples: 1000, num_classes: 10, image_shape: [64, 64, 3]}}
models: [F0, F1]
epochs: [1, 2]
batch_size: 256
learning_rate: 1.6
resources: {{accelerator: TPU-v4, topology: 2x2x2, mfu: 0.36}}
simulate: {{}}
{money}
"""


def planned(tmp_path, money):
    path = tmp_path / "experiments.yaml"
    path.write_text(FILE.format(money=money))
    return make_plan(*read_spec(path))


def test_a_plan_costs_its_chip_hours(tmp_path):
    found = Priced(planned(tmp_path, "price: {TPU-v4: 3.0, H100: 2.5}\ncurrency: EUR")).to_dict()
    assert found["currency"] == "EUR"
    assert found["estimated_cost"] == pytest.approx(found["estimated_core_hours"] / 2 * 3.0)  # two cores a chip
    for cell in found["cells"]:
        assert cell["estimated_cost"] == pytest.approx(cell["estimated_core_hours"] * 1.5)


def test_without_a_price_for_its_accelerator_a_plan_costs_nothing_known(tmp_path):
    found = Priced(planned(tmp_path, "")).to_dict()
    assert found["estimated_cost"] is None
    assert found["currency"] is None
    assert Priced(planned(tmp_path, "price: {H100: 2.5}")).to_dict()["estimated_cost"] is None


def test_one_number_and_a_table_from_the_files_folder_say_the_same_as_a_mapping(tmp_path, monkeypatch):
    (tmp_path / "prices.csv").write_text("accelerator,price\nTPU-v4,3\ncpu,0.04\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    costs = [
        Priced(planned(tmp_path, f"price: {price}")).to_dict()["estimated_cost"] for price in ("3", "{TPU-v4: 3}", "prices.csv")
    ]
    assert costs[0] == costs[1] == costs[2] > 0


def test_what_is_kept_of_the_file_has_the_numbers_of_the_table_and_no_run_has_another_id(tmp_path):
    (tmp_path / "prices.csv").write_text("accelerator,price\nTPU-v4,3\n")
    priced, bare = planned(tmp_path, "price: prices.csv\nbudget: {usd: 5}"), planned(tmp_path, "")
    assert priced.resolved["price"] == {"TPU-v4": 3.0}
    assert priced.resolved["currency"] == "USD"
    assert priced.resolved["budget"]["usd"] == 5.0
    assert [run.id for run in priced.runs] == [run.id for run in bare.runs]
    assert priced.shared == bare.shared, "a price makes no other study"


def test_candidates_of_a_file_have_its_price(tmp_path):
    import pandas as pd

    cells = candidate_cells(planned(tmp_path, "price: 3"), pd.DataFrame({"id": [], "status": []}))
    assert list(cells["cost"]) == pytest.approx(list(cells["core_hours"] * 1.5))
    assert set(cells["currency"]) == {"USD"}


def test_submit_asks_first_above_an_amount_of_money(tmp_path):
    cost = Priced(planned(tmp_path, "price: 3")).to_dict()["estimated_cost"]
    below, above = (
        Priced(planned(tmp_path, f"price: 3\ncurrency: EUR\nconfirm_above: {{money: {share * cost}}}")) for share in (0.5, 2)
    )
    assert above.passes_confirm_above == ""
    assert " EUR, above confirm_above (" in below.passes_confirm_above
    hours = Priced(planned(tmp_path, "price: 3\nconfirm_above: {core_hours: 1e-6, usd: 1e9}")).passes_confirm_above
    assert "core-hours, above confirm_above (1e-06)" in hours


@pytest.mark.parametrize(
    "money", ["price: 2.5 EUR", 'price: "2.5EUR"', "price: {TPU-v4: 2.5 EUR}", "price: 2.5 EUR\ncurrency: EUR"]
)
def test_an_amount_may_have_its_currency(tmp_path, money):
    found = planned(tmp_path, money)
    assert (found.spec.prices.a_core_hour("TPU-v4"), found.spec.currency) == (1.25, "EUR")
    assert found.resolved["currency"] == "EUR"


@pytest.mark.parametrize(
    ("money", "fault"),
    [
        ("price: {TPU-v4: -3}", ":9: price.TPU-v4: -3 is not allowed: it must be greater than 0"),
        ("price: -3", ":9: price: -3 is not allowed: it must be greater than 0"),
        ("price: {TPU-v4: .nan}", ":9: price.TPU-v4: nan: input should be a finite number"),
        ("price: .inf", ":9: price: inf: input should be a finite number"),
        ("price: {TPU-v44: 3}", ":9: price.TPU-v44: unknown accelerator 'TPU-v44'; did you mean \"TPU-v4\"?"),
        ("price: prices.csv", "prices.csv:3: '-2' is no price: it must be a number greater than 0"),
        ("price: none.csv", "none.csv"),
        ("price: 3\ncurrency: USD\ncurrency: EUR", ":11: key 'currency' is given twice"),
        (
            "price: 3\ncurrency: EUR\nbudget: {usd: 5}",
            ":11: budget.usd: the currency is given twice: usd here, and EUR by `currency`",
        ),
        ("price: 3\nbudget: {usd: 5, money: 5}", ":10: budget: `money` and `usd` are one limit"),
        ("price: 3\nbudget: {usd: -5}", ":10: budget.usd: -5 is not allowed: it must be greater than 0"),
        ("price: 3\nbudget: {}", ":10: budget: no limit is given"),
        ("price: 3\nbudget: {gbp: 5}", ":10: budget.gbp: unknown key 'gbp'"),
        ("budget: {usd: 5}", ":9: budget.usd: a limit in money needs the price of a chip-hour of TPU-v4"),
        ("price: {H100: 3}\nconfirm_above: {usd: 5}", ":10: confirm_above.usd: a limit in money needs the price"),
        ("price: {TPU-v4: 3, v4: 2}", ":9: price.v4: TPU-v4 is priced twice"),
        ('price: {"*": 3}', ":9: price.*: unknown accelerator '*'"),
        ("price: double.csv", "double.csv:3: TPU-v4 is given twice"),
        (
            "price: odd.csv\naccelerators: [{name: Mine, peak_flops: 1e14}]",
            "odd.csv:3: unknown accelerator 'Mime'; did you mean \"Mine\"?",
        ),
        ("price: {}", ":9: price: {} is no price: write a number, 2.5, one with its currency, 2.5 EUR, one for each accelerator"),
        ("price: true", ":9: price: True is no price: write a number"),
        ("price: [1]", ":9: price: [1] is no price: write a number"),
        ("price:", ":9: price: None is no price: write a number"),
        ("price: $2.5", ":9: price: '$2.5' is no price: write a number"),
        ("price: cheap", ":9: price: 'cheap' is no price: write a number"),
        ("price: -2.5 EUR", ":9: price: -2.5 is not allowed: it must be greater than 0"),
        ("price: 2.5 EUR\ncurrency: USD", ":9: price: the currency is given twice: EUR and USD"),
        ("price: {TPU-v4: 2 EUR, H100: 3 GBP}", ":9: price: the currency is given twice: EUR and GBP"),
        ("price: {TPU-v4: true}", ":9: price.TPU-v4: True is no price: write a number, 2.5"),
        ("price: {TPU-v4: cheap}", ":9: price.TPU-v4: 'cheap': "),
        ("currency: EUR", ":9: currency: a currency without `price` labels nothing"),
    ],
)
def test_money_that_makes_no_sense_is_refused_in_one_line_with_file_and_line(tmp_path, money, fault):
    (tmp_path / "prices.csv").write_text("accelerator,price\nTPU-v4,3\nH100,-2\n")
    (tmp_path / "double.csv").write_text("accelerator,price\nTPU-v4,3\nv4,2\n")
    (tmp_path / "odd.csv").write_text("accelerator,price\nTPU-v4,3\nMime,2\n")
    with pytest.raises(SpecError) as refused:
        planned(tmp_path, money)
    assert len(refused.value.faults) == 1, "a fault is not told twice"
    assert "experiments.yaml:" in str(refused.value)
    assert fault in str(refused.value)


def test_a_declared_card_has_its_price_with_it(tmp_path):
    """A chip of two cores for 3 an hour: a core-hour costs 1.5; what `price:` says of the card comes first."""
    text = (
        "name: own\ndataset: {name: digits}\nmodels: [nano-F0]\nepochs: [1]\nbatch_size: 64\nlearning_rate: 1.6\n"
        "accelerators:\n- {name: Mine, peak_flops: 1e14, cores_per_chip: 2, price: 3}\nresources: {accelerator: Mine}\ncurrency: EUR\n"
    )
    (tmp_path / "own.yaml").write_text(text)
    prices = read_spec(tmp_path / "own.yaml")[0].prices
    assert Priced(make_plan(*read_spec(tmp_path / "own.yaml"))).notes == []
    assert (prices.a_core_hour("Mine"), prices.currency, prices.a_core_hour("H100")) == (1.5, "EUR", None)
    (tmp_path / "own.yaml").write_text(f"{text}price: {{Mine: 4, TPU-v4: 3.22}}\n")
    said = ["Mine costs 4 EUR a chip-hour by `price`, which counts before the 3 of its card"]
    found = Priced(make_plan(*read_spec(tmp_path / "own.yaml")))
    assert (found.notes, found.to_dict()["notes"]) == (said, said)
    out = Console(file=io.StringIO(), width=200)
    plan_table.show(found, out)
    assert said[0] in out.file.getvalue()
    prices = read_spec(tmp_path / "own.yaml")[0].prices
    assert (prices.a_core_hour("Mine"), prices.a_core_hour("TPU-v4")) == (2.0, 1.61)


def test_a_price_list_may_name_what_settings_and_aliases_declare(tmp_path, monkeypatch):
    """One list of prices does for every file: it names cards that this file does not use, by the settings and by aliases."""
    (tmp_path / "cards.yaml").write_text("accelerators: [{name: Theirs, peak_flops: 1e14, cores_per_chip: 4, aliases: [th]}]\n")
    monkeypatch.setenv("SCALING_ACCELERATORS", str(tmp_path / "cards.yaml"))
    (tmp_path / "prices.csv").write_text("accelerator,price\nv4,3\nth,8\nmine,2\n")
    (tmp_path / "own.yaml").write_text(
        "name: own\ndataset: {name: digits}\nmodels: [nano-F0]\nepochs: [1]\nbatch_size: 64\nlearning_rate: 1.6\n"
        "accelerators: [{name: Mine, peak_flops: 1e14, aliases: [mine]}]\nresources: {accelerator: mine}\nprice: prices.csv\n"
    )
    prices = read_spec(tmp_path / "own.yaml")[0].prices
    assert [prices.a_core_hour(name) for name in ("TPU-v4", "v4", "Theirs", "Mine")] == [1.5, 1.5, 2.0, 2.0]


def test_status_calls_the_money_for_allocated_hours_paid(tmp_path):
    """`cost` is that of useful hours, in every other table."""
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accept_plan(store, planned(tmp_path, "price: 3"))
    shown = CliRunner().invoke(app, ["status", "--db", str(tmp_path / "scaling.db")]).output
    assert "paid" in shown.split()
    assert "cost" not in shown
