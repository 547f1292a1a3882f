"""What hours are worth by probes of one model on two accelerators: measured, offered in words, used for runs and for reference points."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.accelerator_hours import measured_in
from analysis.reading.choice import prepared
from analysis.reference_points.beside import references_of
from orchestrator.store import Store
from orchestrator.store.models import Probe
from orchestrator.store.probed import measured_conversions
from scaling.errors import UsageError


def a_probe(accelerator, rate, shape="s", model="nano-F1"):
    return Probe(
        shape=shape,
        code_version="1",
        family="nfnet",
        model=model,
        accelerator=accelerator,
        cores=1,
        outcome="finished",
        reason="",
        core_hours_per_flop=rate,
    )


@pytest.fixture
def store(tmp_path):
    """One shape on both accelerators, after an older probe of it; one on either alone; one that failed."""
    probes = [a_probe("TPU-v3", 9e-18), a_probe("TPU-v4", 2e-18), a_probe("TPU-v3", 5e-18), a_probe("TPU-v3", 1e-18, "alone")]
    with Store.open(str(tmp_path / "scaling.db")) as store:
        with store.write() as session:
            session.add_all([*probes, a_probe("TPU-v4", None, "alone")])
        yield store


def conversions(store):
    with store.read() as session:
        return {(entry.theirs, entry.ours): entry for entry in measured_conversions(session)}


def test_a_factor_is_the_ratio_of_the_newest_probes(store):
    found = conversions(store)
    assert set(found) == {("TPU-v3", "TPU-v4"), ("TPU-v4", "TPU-v3")}
    assert found["TPU-v3", "TPU-v4"].factor == pytest.approx(2.5)
    assert found["TPU-v4", "TPU-v3"].factor == pytest.approx(0.4)
    assert found["TPU-v3", "TPU-v4"].source == "measured by `scaling probe` of nano-F1 on both"


def test_several_models_are_told_each_with_its_own(store):
    with store.write() as session:
        session.add_all([a_probe("TPU-v3", 3.2e-18, "v", "nano-ViT-S"), a_probe("TPU-v4", 2e-18, "v", "nano-ViT-S")])
    found = conversions(store)["TPU-v3", "TPU-v4"]
    assert found.factor == pytest.approx(2.0)  # √(2.5 · 1.6)
    assert found.source == "measured by `scaling probe` on both, the geometric mean of nano-F1 2.50, nano-ViT-S 1.60"


def mixed(store) -> pd.DataFrame:
    """A table of a power law on both accelerators, which carries what the store measured."""
    hours = np.geomspace(1, 1000, 12)
    table = pd.DataFrame(
        {
            "id": [f"r{n}" for n in range(12)],
            "accelerator": ["TPU-v3", "TPU-v4"] * 6,
            "core_hours": hours * np.where(np.arange(12) % 2 == 0, 2.5, 1.0),
            "finetune_top1_error": 0.5 * hours**-0.2,
        }
    )
    table.attrs = dict(store.runs().attrs)
    return table


def test_it_is_offered_and_converts_runs(store):
    runs = mixed(store)
    assert len(measured_in(runs)) == 2
    with pytest.raises(UsageError, match="2 kinds of accelerator") as caught:
        analysis.frontier(runs, metric="finetune_top1_error")
    offered = "--convert TPU-v3:TPU-v4=measured: 2.50 core-hours on TPU-v3 do what one does on TPU-v4, measured by `scaling probe` of nano-F1"
    assert caught.value.hint.startswith(offered)
    converted = prepared(runs, convert=["TPU-v3:TPU-v4=measured"])
    law = analysis.fit(converted, metric="finetune_top1_error", law="power", on="all")
    assert law.residual_std < 1e-6
    assert "divided by 2.5 (measured by `scaling probe` of nano-F1 on both)" in analysis.source_of(converted)["notes"][-1]


def test_it_converts_reference_points_without_a_factor_of_their_own(store, tmp_path):
    runs = prepared(mixed(store), where=["accelerator=TPU-v4"])
    frontier = analysis.frontier(runs, metric="finetune_top1_error")
    (tmp_path / "own.csv").write_text("name,core_hours,top1_error,accelerator\nours,210000,0.1,TPU-v3\n")
    found = references_of(frontier, [str(tmp_path / "own.csv")], ["TPU-v3:TPU-v4=measured"], measured_in(runs))
    (point,) = found.points
    assert point.at == pytest.approx(210_000 / 2.5)
    assert point.factor_source == "measured by `scaling probe` of nano-F1 on both"


def test_where_nothing_was_probed_on_both_one_line_says_how(store):
    with pytest.raises(UsageError, match="'H100:TPU-v4=measured': no model was probed on both") as caught:
        prepared(mixed(store), convert=["H100:TPU-v4=measured"])
    assert "`scaling probe FILE` on H100, then on TPU-v4" in caught.value.hint
