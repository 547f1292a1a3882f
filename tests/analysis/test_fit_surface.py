"""Laws of two and three inputs: the published refit of the Chinchilla runs, and what a design must vary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from analysis.fitting.point import fit_point
from analysis.laws import law_named
from scaling.cli.fit import fit_command
from scaling.errors import TooFewPoints, UsageError
from scaling.outcomes import FitStatus

EPOCH = Path(__file__).parent.parent / "reference" / "laws" / "epoch_chinchilla_svg_extracted.csv"
TRUTH = {"E": 0.3, "A": 60.0, "alpha": 0.33, "B": 90.0, "beta": 0.4}


@pytest.fixture(scope="module")
def chinchilla_runs():
    """The 245 runs that Besiroglu et al. (arXiv 2404.10102) read off a figure of Hoffmann et al., without the 5 of highest loss."""
    table = pd.read_csv(EPOCH).sort_values("loss").iloc[:-5]
    return pd.DataFrame(
        {
            "params": table["Model Size"],
            "examples_seen": table["Training FLOP"] / (6 * table["Model Size"]),
            "val_loss": table["loss"],
        }
    )


def grid(noise=0.005, seeds=1, rng_seed=0, sizes=5, budgets=6):
    """Sizes by epoch budgets on one data set of 50,000 examples."""
    rng = np.random.default_rng(rng_seed)
    N, epochs = (g.ravel() for g in np.meshgrid(np.geomspace(3e5, 3e7, sizes), 2.0 ** np.arange(budgets)))
    table = pd.DataFrame({"params": N, "epochs": epochs, "examples_seen": 5e4 * epochs, "unique_examples": 5e4})
    table = table.loc[table.index.repeat(seeds)].assign(model=lambda t: t["params"].map("{:.0f}".format))
    table["seed"] = np.tile(np.arange(seeds), sizes * budgets)
    clean = law_named("chinchilla").curve(table[["params", "examples_seen"]].to_numpy().T, TRUTH)
    return table.assign(val_loss=clean * np.exp(noise * rng.standard_normal(len(table)))).reset_index(drop=True)


def test_the_published_optimum(chinchilla_runs):
    inputs = chinchilla_runs[["params", "examples_seen"]].to_numpy().T
    found = fit_point(law_named("chinchilla"), inputs, chinchilla_runs["val_loss"].to_numpy(), objective="huber-log")
    assert found.converged[0]
    assert found.loss[0] <= 0.00101827402
    values = {letter: value[0] for letter, value in found.values.items()}
    assert values == pytest.approx({"A": 477.8, "B": 2143, "E": 1.8172, "alpha": 0.3473, "beta": 0.3672}, rel=3e-4)


def test_the_published_intervals(chinchilla_runs):
    """Besiroglu et al., 95 % by bootstrap: each end within a tenth of it (of E and the exponents, far closer)."""
    fit = analysis.fit(chinchilla_runs, x=("params", "examples_seen"), law="chinchilla", objective="huber-log")
    published = {"A": (285, 744), "B": (1042, 5810), "E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415)}
    for letter, ends in published.items():
        np.testing.assert_allclose(fit.interval().loc[letter], ends, rtol=0.1)
    np.testing.assert_allclose(
        fit.interval().loc[["E", "alpha", "beta"]].to_numpy(), [published[n] for n in ("E", "alpha", "beta")], rtol=0.02
    )
    assert fit.status == FitStatus.OK


def test_a_grid_gives_its_surface_back():
    fit = analysis.fit(grid(), law="chinchilla")
    assert fit.x == fit.axes == ("params", "examples_seen")
    assert fit.status == FitStatus.OK
    for letter, (low, high) in fit.interval().iterrows():
        assert low < TRUTH[letter] < high
    assert fit.theta.shape == (5,)
    assert fit.covariance.shape == (5, 5)
    table = grid(noise=0)
    np.testing.assert_allclose(fit.predict(table)["mean"], table["val_loss"], rtol=0.005)
    assert fit.log_mean_draws(table).shape == (1000, len(table))
    jacobian = fit.log_mean_jacobian(table)
    error = np.sqrt(np.einsum("ni,ij,nj->n", jacobian, fit.covariance, jacobian))
    t = 2.06 / 1.96  # the draws are spread by it
    np.testing.assert_allclose(fit.log_mean_draws(table).std(axis=0), t * error, rtol=0.12)  # two ways to one uncertainty


def test_text_with_commas_names_the_inputs():
    assert analysis.fit(grid(), x="params, examples_seen", law="chinchilla").axes == ("params", "examples_seen")


def test_repeats_are_worth_less():
    law = law_named("data-constrained")
    table = grid(noise=0)
    truth = {**TRUTH, "Rstar": 6.0}
    table["val_loss"] = law.curve(table[["params", "examples_seen", "unique_examples"]].to_numpy().T, truth)
    fit = analysis.fit(table, law="data-constrained")
    assert fit.params == pytest.approx(truth, rel=1e-3)
    assert fit.axes == ("params", "examples_seen", "unique_examples")


def test_without_repeats_their_worth_is_not_identified():
    table = grid().assign(unique_examples=lambda t: t["examples_seen"])
    fit = analysis.fit(table, law="data-constrained")
    assert fit.status == FitStatus.NOT_IDENTIFIED
    assert fit.status_about == ("Rstar",)
    assert fit.advice.startswith("Rstar: ")


def test_an_input_that_does_nothing_is_named():
    """Here loss depends on examples alone: seven of ten such tables have A = 0 as optimum, the others an exponent without ends."""
    rng = np.random.default_rng(3)
    about = set()
    for _ in range(6):
        table = grid()
        table["val_loss"] = (0.3 + 90 * table["examples_seen"] ** -0.4) * np.exp(0.005 * rng.standard_normal(len(table)))
        fit = analysis.fit(table, law="chinchilla")
        assert fit.status in (FitStatus.TERM_VANISHES, FitStatus.EXPONENT_NOT_IDENTIFIED)
        about.update(fit.status_about)
        if fit.status == FitStatus.TERM_VANISHES:
            assert fit.params["A"] == 0
            assert np.isfinite(fit.predict(table)).all(axis=None)
    assert about == {"A", "alpha"}


@pytest.mark.parametrize(
    ("keep", "lost", "more"),
    [
        (lambda t: t["params"] < 4e5, "one value of params, .* to know A and alpha", 2),
        (lambda t: t["epochs"] <= 2, "two values of examples_seen, .* to know B and beta", 1),
    ],
)
def test_a_design_that_does_not_vary_an_input_says_which_coefficient_cannot_be_known(keep, lost, more):
    table = grid(budgets=7, sizes=6)
    with pytest.raises(TooFewPoints, match=lost) as caught:
        analysis.fit(table[keep(table)], law="chinchilla")
    assert caught.value.need - caught.value.have == more


def test_inputs_must_go_with_the_law():
    with pytest.raises(UsageError, match="of N params, D examples seen; x names 1 column") as caught:
        analysis.fit(grid(), law="chinchilla", x="params")
    assert caught.value.hint == "--x params,examples_seen"
    with pytest.raises(UsageError, match="frontier is one of compute"):
        analysis.fit(grid(), law="chinchilla", on="frontier")
    with pytest.raises(UsageError, match="frontier is one of compute"):
        analysis.frontier(grid(), x=("params", "examples_seen"))
    fit = analysis.fit(grid(), law="chinchilla")
    with pytest.raises(UsageError, match="no one range"):
        _ = fit.x_range
    with pytest.raises(UsageError, match="unknown column 'examples_seen'"):
        fit.predict(pd.DataFrame({"params": [1e6]}))


def test_cells_of_a_surface_are_its_inputs():
    """A bare table without names or epochs: seeds share params and examples, and nothing else makes a cell."""
    table = grid(seeds=3)[["params", "examples_seen", "val_loss"]]
    fit = analysis.fit(table, law="chinchilla")
    assert (fit.runs_used, fit.cells) == (90, 30)
    assert fit.seed_std == pytest.approx(0.005, rel=0.3)


def test_payload_of_a_surface():
    (element,) = [analysis.fit(grid(), law="chinchilla").to_dict()]
    assert element["x"] == ["params", "examples_seen"]
    assert element["x_range"]["params"] == pytest.approx([3e5, 3e7])
    assert set(element["coefficients"]) == {"E", "A", "alpha", "B", "beta"}


@pytest.fixture
def fit_command_line(tmp_path):
    app = typer.Typer()
    app.command("fit")(fit_command)
    path = tmp_path / "runs.csv"
    grid().assign(train_flops=lambda t: 6 * t["params"] * t["examples_seen"], w=1.0).to_csv(path, index=False)

    def invoke(*arguments):
        result = CliRunner().invoke(app, ["--data", str(path), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


def test_command_fits_a_surface(fit_command_line):
    text = fit_command_line("--x", "params,examples_seen", "--law", "chinchilla")
    assert "chinchilla law, all runs" in text
    assert "exponent of model size" in text
    assert "30 runs in 30 cells" in text
    payload = json.loads(
        fit_command_line("--law", "chinchilla", "--objective", "huber-log", "--weights", "w", "--bootstrap", "100", "--json")
    )
    assert payload["fits"][0]["x"] == ["params", "examples_seen"]
    assert len(fit_command_line("--law", "chinchilla", "--intervals", "wild", "--bootstrap", "100", "--csv").splitlines()) == 6


def test_command_chooses_a_law(fit_command_line):
    """Of one axis on both choices of cells; of two on all of them."""
    one = json.loads(fit_command_line("--x", "flops", "--law", "auto", "--json"))
    assert [entry["on"] for entry in one["fits"] + one["not_fitted"]] == ["frontier", "all"]
    (two,) = json.loads(fit_command_line("--x", "params,examples_seen", "--law", "auto", "--json"))["fits"]
    assert two["members"][0]["law"] == "chinchilla"  # 0.92 of it; the one with tied exponents has the rest


@pytest.mark.parametrize("law", ["saturating", "hill", "broken"])
def test_command_fits_every_law_of_one_axis(fit_command_line, law):
    (element,) = json.loads(fit_command_line("--x", "flops", "--law", law, "--on", "all", "--json"))["fits"]
    assert element["law"] == law
    assert element["x"] == "train_flops"
    assert all(entry["value"] is not None for entry in element["coefficients"].values())
