"""Whatever the table: an answer whose JSON holds no NaN, or one line of fault with a hint; never a traceback or a warning."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import analysis
from scaling.errors import ScalingError
from tests.analysis.grids import grid

EVERY = np.arange(120)


def table():
    return pd.concat([grid(noise=0.005, seeds=2), grid(family="vit", noise=0.005, seeds=2)], ignore_index=True)


BAD = {
    "constant loss": {"val_loss": 1.0},
    "one compute": {"core_hours": 1.0},
    "negative params": {"params": -1e6},
    "losses missing": {"val_loss": np.where(EVERY % 3, 1.0 + EVERY / 500, np.nan)},
    "losses not positive": {"val_loss": 1.0 - EVERY / 60},
    "losses that rise": {"val_loss": 1.0 + EVERY},
    "text": {"core_hours": "3 h"},
}
QUESTIONS = {
    "compare": lambda both, one: analysis.payload(analysis.compare(both)),
    "optimum": lambda both, one: analysis.payload(analysis.compute_optimal(one, bootstrap=100)),
    "frontier": lambda both, one: analysis.payload(found := analysis.frontier(one), band=analysis.frontier_band(found, draws=50)),
    "predict": lambda both, one: analysis.payload(analysis.predict(one, [500.0], law="power", bootstrap=100)),
    "plan": lambda both, one: analysis.payload(
        analysis.plan(
            one, pd.DataFrame({"core_hours": [5.0, 50.0]}), budget_core_hours=60, target=500.0, law="power", bootstrap=100
        )
    ),
    "transfer": lambda both, one: analysis.payload(
        analysis.transfer(
            one.assign(pretrain_loss=one["val_loss"]), downstream="val_loss", upstream="pretrain_loss", x="core_hours"
        )
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("fault", BAD)
def test_answers_or_refuses(question, fault):
    both = table().assign(**BAD[fault])
    one = both[both["family"] == "nfnet"]
    refusal: ScalingError | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            json.dumps(QUESTIONS[question](both, one), allow_nan=False)
        except ScalingError as error:
            refusal = error
    if refusal is not None:
        assert "\n" not in str(refusal)
        assert refusal.hint


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_almost_nothing_is_refused_with_what_is_lacking(rows):
    both = table().iloc[:rows]
    for question, ask in QUESTIONS.items():
        if question in ("frontier", "transfer") and rows:  # which say what few runs say
            continue
        with pytest.raises(ScalingError) as caught:
            ask(both, both)
        assert caught.value.hint
