"""Shared by the tests of the scheduler."""

import pytest

from tests.orchestrator.workers import Clock


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)
