"""The page of learning rates, and its JSON, where the store's cells tried several weight decays."""

import itertools
import math

from scaling.outcomes import RunStatus
from tests.api.small_grid import run_row


def rows():
    grid = itertools.product(("nano-F0", "nano-F1"), (1, 2, 4), (0.4, 0.8, 1.6), (0.05, 0.1, 0.2))
    for number, (model, epochs, rate, decay) in enumerate(grid):
        off = math.log2(rate / 0.8) ** 2 + math.log2(decay / (0.1 * epochs**-0.3)) ** 2
        row = run_row(model, epochs, 0, learning_rate=rate, number=number)
        scores = {"val_loss": math.exp(0.02 * off - 0.1 * math.log(epochs)), "core_hours": 1.0}
        yield row | scores | {"weight_decay": decay, "status": RunStatus.FINISHED}


def test_the_page_and_its_json_have_the_trend_of_weight_decay(client_of):
    client = client_of(list(rows()))
    page = client.get("/learning-rate").text
    assert "The best weight decay falls with the epoch budget (s = 0.3" in page
    assert '<table data-sortable id="weight_decay">' in page
    found = client.get("/api/v1/learning-rate").json()
    (trend,) = found["besides"]
    assert abs(trend["slope"]["value"] - 0.3) < 1e-3
    assert len(trend["optima"]) == 6
