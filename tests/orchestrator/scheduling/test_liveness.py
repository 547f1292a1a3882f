"""When silence counts as a hang, and that a hung trainer is killed and its run goes on."""

from orchestrator.scheduling.liveness import Liveness


def told(liveness, *signs):
    for at, trains in signs:
        liveness.sign(at, trains=trains)
    return liveness


def test_before_its_first_step_a_run_has_time_to_compile():
    liveness = told(Liveness(hang_seconds=10, start_seconds=100), (0.0, False), (1.0, False))
    assert liveness.judge(101.0) is None
    assert "it had not taken a step" in liveness.judge(101.5)


def test_one_that_was_never_heard_of_is_waited_for_from_the_first_look():
    liveness = Liveness(start_seconds=100)
    assert liveness.judge(1000.0) is None
    assert liveness.judge(1099.0) is None
    assert liveness.judge(1101.0) is not None


def test_a_run_that_takes_steps_is_judged_by_its_own_pace():
    quick = told(Liveness(hang_seconds=10), (0.0, True), (0.1, True), (0.2, True))
    assert quick.judge(10.1) is None
    assert quick.judge(10.3).startswith("hung: no sign of life for 10 s, the longest silence before was 0.1 s")
    slow = told(Liveness(hang_seconds=10), (0.0, True), (60.0, True))  # a step a minute
    assert slow.judge(60.0 + 20 * 60.0) is None
    assert slow.judge(60.0 + 20 * 60.0 + 1.0) is not None


def test_the_silence_of_the_start_does_not_count_as_a_pace():
    liveness = told(Liveness(hang_seconds=10, start_seconds=1000), (0.0, False), (500.0, True), (500.5, True))
    assert liveness.judge(511.0) is not None
