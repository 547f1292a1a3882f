"""The end of a log, as the page of a run shows it."""

from __future__ import annotations

from orchestrator.logs import end_of_log


def test_the_last_lines_without_colours(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"one\n\x1b[31mtwo\x1b[0m\n10 %\r20 %\r\nthree \x1b]0;title\x07\xff\n")
    assert end_of_log(path, 4) == ["two", "10 %", "20 %", "three �]0;title��"]


def test_of_a_long_log_the_end_is_read(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert end_of_log(path, 3) == ["line 99997", "line 99998", "line 99999"]
    assert len(end_of_log(path, 10**6)) < 10_000


def test_a_log_that_is_elsewhere(tmp_path):
    assert end_of_log(tmp_path / "log.txt") is None
    assert end_of_log(tmp_path) is None
