"""What a rehearsal of the published study follows: the constants that ship are those of the calibration, and say what the study says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.published_surface import Study, finetuned_error, points, shipped, validation_loss
from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from trainer.surface import Surface

FILE = Path(__file__).parent.parent / "experiments" / "jft4b.yaml"
EPOCHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@pytest.fixture(scope="module")
def study():
    return Study.planned()


@pytest.fixture(scope="module")
def in_the_file():
    """The two surfaces as a rehearsal of the file has them: of the validation loss, and of the fine-tuned error."""
    told = read_spec(FILE)[0].simulate
    return tuple(Surface(**field.model_dump()) for field in (told.loss, told.finetuned_error))


def test_the_file_and_the_defaults_have_the_calibrated_constants(study, in_the_file):
    loss, error = in_the_file
    assert shipped(loss) == shipped(validation_loss(study))
    assert shipped(error) == shipped(finetuned_error(study, points()))


def test_the_digitised_errors_are_met_and_the_one_held_out_is_predicted(study, in_the_file):
    error = in_the_file[1]
    seen = points()
    assert len(seen) == 21
    assert ("F7+", 8.0) not in {(point.model, point.epochs) for point in seen}
    apart = [100 * (study.at(error, point.model, point.epochs) - point.error) for point in seen]
    assert np.sqrt(np.mean(np.square(apart))) < 0.13
    assert np.abs(apart).max() < 0.25
    assert 100 * study.at(error, "F7+", 8.0) == pytest.approx(9.7, abs=0.15)


def test_the_fit_is_the_least_squares_one(study):
    """No constants nearby meet the points better, in logarithms."""
    best = finetuned_error(study, points())

    def squares(surface):
        return sum(np.log(study.at(surface, point.model, point.epochs) / point.error) ** 2 for point in points())

    for name in ("A", "B", "beta"):
        for factor in (0.999, 1.001):
            other = replace(best, **{name: factor * getattr(best, name)})
            if name == "beta":
                other = replace(other, alpha=study.ratio * other.beta)
            assert squares(other) > squares(best)


def test_the_validation_loss_is_as_published(study, in_the_file):
    """2.4 … 3.0 over the grid, straight on log–log axes along the frontier, more than one epoch best above 5,000 core-hours."""
    loss, _ = in_the_file
    grid = [study.at(loss, model, epochs) for model in study.params for epochs in EPOCHS]
    assert (min(grid), max(grid)) == pytest.approx((2.4, 3.0), abs=0.001)
    hours = np.geomspace(400, 110_000, 9)
    best = [study.best(loss, each) for each in hours]
    logs = np.log([loss.at_best_rate(size, epochs * study.examples) for size, epochs in best])
    assert np.abs(logs - np.polyval(np.polyfit(np.log(hours), logs, 1), np.log(hours))).max() < 1e-4
    assert study.crossing(loss) == pytest.approx(5000, rel=0.01)
    size, epochs = (np.log(study.best(loss, 10_000.0)[k] / study.best(loss, 2500.0)[k]) for k in (0, 1))
    assert size / epochs == pytest.approx(1, abs=0.1)


def test_after_finetuning_a_slightly_larger_model_and_fewer_epochs_are_best(study, in_the_file):
    for hours in (5e3, 2e4, 1e5):
        (size, epochs), (tuned_size, tuned_epochs) = (study.best(surface, hours) for surface in in_the_file)
        assert 1.1 < tuned_size / size < 1.5
        assert 0.6 < tuned_epochs / epochs < 0.9


def test_a_rehearsal_has_the_core_hours_that_the_calibration_takes(study):
    plan = make_plan(*read_spec(FILE))
    dearest = max(plan.searches, key=lambda search: search.run.estimated_core_hours).run
    assert dearest.estimated_core_hours == pytest.approx(8 * study.core_hours["F7+"], rel=1e-6)
    gamma, log_c = study.cost
    for model, hours in study.core_hours.items():
        size = study.params[model] - study.head_params
        assert np.exp(log_c) * size**gamma == pytest.approx(hours, rel=0.04), model


def test_pretraining_follows_the_loss_and_finetuning_the_error(in_the_file):
    """Sizes, epochs and recipe are those of the study, and of the paper on NFNets where it states none."""
    plan = make_plan(*read_spec(FILE))
    assert {search.run.config.model.surface for search in plan.searches} == {in_the_file[0]}
    tuned = [search.run.config for search in plan.finetuning.searches]
    assert {config.model.surface for config in tuned} == {in_the_file[1]}
    assert {config.data.card.image_shape[0] for config in tuned} == {384}
    assert {config.data.card.eval_shape[0] for config in tuned} == {480}
    assert {(config.schedule.epochs, config.batch_size, config.augment.repeats) for config in tuned} == {(50.0, 2048, 4)}
    assert {(config.sam.rho, config.sam.share) for config in tuned} == {(0.05, 0.2)}
    assert {config.warmup_steps for config in tuned} == {5000}
    assert {config.data.card.eval_shape[0] for config in (search.run.config for search in plan.searches)} == {256}
