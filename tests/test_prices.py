"""Money: prices from a CSV, and what core-hours cost by them. Costs are worked out by hand."""

import pytest

from scaling.errors import DataError, DataNotFound
from scaling.prices import Prices, read_prices
from scaling.rounding import money


def test_a_chip_hour_is_as_many_core_hours_as_the_chip_has_cores():
    prices = Prices({"H100": 2.5, "TPU-v4": 3.22, "cpu": 0.04, "a card of theirs": 1.0})
    assert prices.cost("H100", 10.0) == pytest.approx(25.0)
    assert prices.cost("TPU-v4", 10.0) == pytest.approx(16.1)  # two cores a chip: five chip-hours
    assert prices.cost("cpu", 10.0) == pytest.approx(0.4)
    assert prices.cost("a card of theirs", 10.0) == pytest.approx(10.0)
    assert prices.cost("A100", 10.0) is None
    assert prices.cost(None, 10.0) is None
    assert prices.cost("cpu", None) is None


def test_money_is_written_with_its_label():
    assert (money(12345.6, "EUR"), money(0.01236, "USD"), money(None, "USD")) == ("12,346 EUR", "0.0124 USD", "–")


def test_prices_are_read_from_a_csv(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("\ufeffaccelerator,price\nH100, 2.5\n\nTPU-v4,3.22\n", encoding="utf-8")
    assert read_prices(path) == {"H100": 2.5, "TPU-v4": 3.22}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1: the first line is not accelerator,price"),
        ("card,price\nH100,2\n", "1: the first line is not accelerator,price"),
        ("accelerator,price\n", "1: no accelerator has a price"),
        ("accelerator,price\ncpu,1\nH100,-2\n", "3: '-2' is no price: it must be a number greater than 0"),
        ("accelerator,price\nH100,nan\n", "2: 'nan' is no price: it must be a number greater than 0"),
        ("accelerator,price\nH100,0\n", "2: '0' is no price: it must be a number greater than 0"),
        ("accelerator,price\nH100,inf\n", "2: 'inf' is no price: it must be a number greater than 0"),
        ("accelerator,price\nH100,2,USD\n", "2: not an accelerator and its price: 'H100,2,USD'"),
        ("accelerator,price\nH100,2\nH100,3\n", "3: H100 is given twice"),
        ("accelerator,price\n\nH10,2\n", "3: unknown accelerator 'H10'; did you mean \"H100\"?"),
    ],
)
def test_a_bad_table_of_prices_is_refused_with_its_line(tmp_path, text, fault):
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        read_prices(path, ["H100", "cpu"])
    assert str(refused.value) == f"{path}:{fault}"


def test_a_table_of_prices_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(DataNotFound):
        read_prices(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_prices(tmp_path / "bytes.csv")


def test_the_price_of_any_gpu_is_that_of_whichever_ran():
    """A run that was asked for as `gpu` is named by its driver; by no name may its hours be free."""
    prices = Prices({"gpu": 2.0, "H200": 3.0})
    assert [prices.a_core_hour(name) for name in ("gpu", "NVIDIA GeForce RTX 4090", "A100", "H200")] == [2.0, 2.0, 2.0, 3.0]
    assert [prices.a_core_hour(name) for name in ("cpu", "TPU-v4", None)] == [None, None, None]
