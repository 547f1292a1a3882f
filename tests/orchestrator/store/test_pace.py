"""Core-hours of runs of seconds: those of one model share their pace, and the sum is what was measured."""

import pytest
from sqlalchemy import event

from orchestrator.store import Store, queries
from orchestrator.store.models import Run
from scaling.outcomes import RunStatus
from tests.orchestrator.rows import a_run

LONG = 100.0 / 3600
"""Core-hours of a run of 100 seconds on one core."""


def finished(letter, core_hours, steps, **changes):
    return a_run(letter * 16, steps=steps, **changes) | {
        "step": steps, "status": RunStatus.FINISHED, "core_hours": core_hours, "accelerator": "cpu", "cores": 1, "val_loss": 1.0,
    }  # fmt: skip


@pytest.fixture
def shown(store):
    def of(*rows):
        with store.write() as session:
            session.add_all(Run(**row) for row in rows)
        with store.read() as session:
            found = {row["id"][0]: row["core_hours"] for row in queries.runs(session)}
            assert {run: queries.run_detail(session, run)["core_hours"] for run in found} == found
            assert {row["id"][0]: row["core_hours"] for row in queries.siblings(session, "a" * 16)}.items() <= found.items()
            assert [row["core_hours"] for row in queries.runs(session, sort="-core_hours")] == sorted(found.values(), reverse=True)
            assert queries.count_runs(session, q=f"core_hours>{found['a']}") == sum(hours > found["a"] for hours in found.values())
        return found

    return of


def test_short_runs_of_a_model_share_their_pace_and_the_sum_stays(shown):
    seconds = {"a": 0.1, "b": 0.21, "c": 1.2, "d": 0.05}  # d took least by its own clock
    found = shown(
        *[finished(letter, took / 3600, steps) for (letter, took), steps in zip(seconds.items(), (75, 75, 600, 300), strict=True)]
    )
    assert found["a"] == found["b"] == pytest.approx(found["c"] / 8) == pytest.approx(found["d"] / 4)
    assert sum(found.values()) * 3600 == pytest.approx(sum(seconds.values()))


def test_long_runs_and_those_of_other_models_devices_and_trunks_keep_their_own(shown):
    own = {
        "a": finished("a", 1e-4, 100),
        "b": finished("b", 3e-4, 100, shape="t", model="nano-F1"),
        "c": finished("c", 5e-4, 100) | {"accelerator": "H100"},
        "d": finished("d", 7e-4, 100) | {"cores": 2},
        "e": finished("e", LONG, 100),
        "f": finished("f", 9e-4, 100) | {"inherited_core_hours": 4e-4},
        "g": finished("g", 2e-4, 100) | {"status": RunStatus.DIVERGED},
    }
    assert shown(*own.values()) == pytest.approx({letter: row["core_hours"] for letter, row in own.items()})


def test_the_pace_is_read_from_its_index(tmp_path):
    """A scan of 100,000 runs for each page of a run takes 0.1 s of the server's one core."""
    plans = []

    def explain(connection, _cursor, statement, parameters, _context, _many):
        if "sum(runs.core_hours)" in statement:
            found = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" ".join(str(step[-1]) for step in found))

    with Store.open(str(tmp_path / "scaling.db")) as store:
        with store.write() as session:
            session.add_all(Run(**row) for row in (finished("a", 1e-4, 100), finished("b", 3e-4, 100)))
        with store.read() as session:
            event.listen(session.connection(), "before_cursor_execute", explain)
            queries.run_detail(session, "a" * 16)
    assert "INDEX runs_by_pace" in plans[0]
