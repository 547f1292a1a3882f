"""Each schedule against its published formula, and the steps that runs of several lengths have in common by brute force."""

import itertools
import math

import pytest

from trainer.schedules import learning_rate_at, names, schedule_class
from trainer.schedules.constant import Constant
from trainer.schedules.rsqrt import ReciprocalSquareRoot
from trainer.schedules.warmup_stable_decay import WarmupStableDecay


def test_cosine_goes_from_the_peak_to_zero_after_a_linear_warm_up():
    rates = [learning_rate_at(step, peak=2.0, steps=100, warmup_steps=10) for step in range(100)]
    assert rates[9] == rates[10] == 2.0
    assert rates[0] == pytest.approx(0.2)
    assert rates[55] == pytest.approx(1.0)
    assert rates[-1] < 0.01
    assert learning_rate_at(99, peak=2.0, steps=100, schedule=Constant()) == 2.0


def test_warmup_stable_decay_holds_the_peak_and_comes_down_by_one_minus_a_square_root():
    """arXiv 2405.18392, eq. 1: the decay is over the last 20 of 100 steps, warm-up or not."""
    for warmup in (0, 10):
        options = {"peak": 2.0, "steps": 100, "warmup_steps": warmup, "schedule": WarmupStableDecay(0.2)}
        rates = [learning_rate_at(step, **options) for step in range(100)]
        assert rates[:warmup] == pytest.approx([2.0 * (step + 1) / 10 for step in range(warmup)])
        assert rates[warmup:81] == pytest.approx([2.0] * (81 - warmup))
        assert rates[80:] == pytest.approx([2.0 * (1 - ((step - 80) / 20) ** 0.5) for step in range(80, 100)])
        assert rates[85] == pytest.approx(1.0)  # a quarter of the way down the steps, half of the way down the rate


def test_a_reciprocal_square_root_falls_by_its_timescale_and_cools_down_to_zero():
    """arXiv 2106.04560, sec. 3.5: 1/√ of the time, and a linear cool-down in the last 20 of 100 steps."""
    rates = [
        learning_rate_at(step, peak=2.0, steps=100, warmup_steps=10, schedule=ReciprocalSquareRoot(0.2, 30)) for step in range(100)
    ]
    assert rates[10] == 2.0
    assert rates[40] == pytest.approx(2.0 / math.sqrt(2.0))
    assert rates[80] == pytest.approx(2.0 / math.sqrt(1 + 70 / 30))
    assert rates[90] == pytest.approx(1.0 / math.sqrt(1 + 80 / 30))
    assert 0 < rates[99] < 0.06
    of_warmup = [
        learning_rate_at(step, peak=2.0, steps=100, warmup_steps=30, schedule=ReciprocalSquareRoot(0.2)) for step in range(100)
    ]
    assert of_warmup[60] == pytest.approx(2.0 / math.sqrt(2.0))


@pytest.mark.parametrize("name", names())
def test_the_steps_in_common_are_those_whose_rate_is_that_of_a_longer_run(name):
    for steps, warmup in itertools.product((8, 19, 55, 333), (0, 5)):
        options = {"timescale_steps": 7} if name == "rsqrt" else {}
        schedule = schedule_class(name)(**options)
        rates, longer = (
            [learning_rate_at(step, peak=0.3, steps=length, warmup_steps=warmup, schedule=schedule) for step in range(steps)]
            for length in (steps, 10 * steps)
        )
        same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(rates, longer, strict=True))))
        common = schedule.common_steps(steps, warmup)
        assert common <= same
        if name in ("warmup-stable-decay", "rsqrt"):
            assert common == same
        assert common == {"cosine": 0, "constant": steps - 1}.get(name, common)
