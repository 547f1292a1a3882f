"""The surfaces that rehearsals follow: their formula, and what of them is part of ids."""

import math

import pytest

from trainer import ModelConfig
from trainer.surface import FINETUNED, Surface, as_first_written

PLAIN = Surface()


def test_the_size_that_counts_is_without_the_head_and_the_terms_are_raised_to_the_power():
    surface = Surface(E=0.5, A=3.0, alpha=0.5, B=20.0, beta=0.25, power=0.5, head_params=100.0)
    assert surface.at_best_rate(500, 10_000) == pytest.approx(0.5 + math.sqrt(3.0 / 20.0 + 20.0 / 10.0))
    assert surface.at_best_rate(100, 10_000) == surface.at_best_rate(7, 10_000) == pytest.approx(0.5 + math.sqrt(3.0 + 2.0))


def test_without_a_floor_a_power_keeps_the_frontier_straight_though_each_size_levels_off():
    surface = Surface(E=0.0, A=1.0, alpha=0.4, B=1.0, beta=0.4, power=0.3)

    def best(compute):
        return min(surface.at_best_rate(size, compute / size) for size in (compute**0.5 * 2 ** (k / 64) for k in range(-640, 641)))

    logs = [math.log(best(10.0**k)) for k in (8, 10, 12)]
    assert logs[1] - logs[0] == pytest.approx(logs[2] - logs[1], rel=1e-9)
    assert surface.at_best_rate(1e4, 1e30) > 0.9 * surface.at_best_rate(1e4, 1e6)


def test_a_finetuned_run_has_one_best_rate_whatever_its_epochs_and_size():
    assert {FINETUNED.best_learning_rate(params, epochs) for params in (1e4, 1e9) for epochs in (1.0, 50.0)} == {0.1}
    twice = FINETUNED.loss(10**8, 1e9, 50.0, 0.2) / FINETUNED.loss(10**8, 1e9, 50.0, 0.1)
    assert twice == pytest.approx(math.exp(FINETUNED.curvature * math.log(2) ** 2))


def test_ids_tell_of_what_came_later_only_where_it_is_not_neutral():
    told = ModelConfig("nfnet", "F0", surface=PLAIN).identity["options"]["surface"]
    assert told == as_first_written(told)
    assert set(told) & {"power", "head_params"} == set()
    other = ModelConfig("nfnet", "F0", surface=Surface(power=0.5)).identity["options"]["surface"]
    assert other == told | {"power": 0.5}
