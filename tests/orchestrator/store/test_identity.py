"""Under which folder of a home a store's attempts write: never under that of another store, and old homes are gone on from."""

import shutil

import sqlalchemy as sa
from sqlalchemy import select

from orchestrator.store import Store, ledger
from orchestrator.store.identity import claim
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Allocation, Attempt
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.conftest import new_database
from tests.orchestrator.rows import a_run, accepted

RUN = "a" * 16


def id_of(store):
    with store.write() as session:
        return claim(session)


def copy_of(store, tmp_path):
    """Another database with all that the store has."""
    store.close()
    if store.url.get_backend_name() == "sqlite":
        shutil.copy(tmp_path / "scaling.db", tmp_path / "copy.db")
        return str(tmp_path / "copy.db")
    name = f"{store.url.database}_copy"
    engine = sa.create_engine(store.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {store.url.database}")
    engine.dispose()
    return store.url.set(database=name).render_as_string(hide_password=False)


def test_a_copy_gets_an_id_of_its_own_and_both_keep_theirs(store, tmp_path):
    own = id_of(store)
    with Store.open(copy_of(store, tmp_path)) as copy:
        other = id_of(copy)
        assert len({own, other, id_of(store), id_of(copy)}) == 2
    assert id_of(store) == own


def test_two_stores_have_two_ids(tmp_path, postgres):
    urls = [str(tmp_path / "one.db"), str(tmp_path / "two.db"), new_database(postgres), new_database(postgres)]
    ids = set()
    for url in urls:
        with Store.open(url) as store:
            ids.add(id_of(store))
    assert len(ids) == 4


def test_a_file_that_is_moved_keeps_its_id(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        own = id_of(store)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "scaling.db").rename(tmp_path / "elsewhere" / "renamed.db")
    with Store.open(str(tmp_path / "elsewhere" / "renamed.db")) as store:
        assert id_of(store) == own


def test_a_copy_leaves_the_workers_to_its_original(store, tmp_path):
    with store.write() as session:
        ledger.open_allocation(session, scheduler="it", shape="s", accelerator="cpu", cores=1, worker="w")
    id_of(store)  # a store of before ids: it is no copy
    with Store.open(copy_of(store, tmp_path)) as copy:
        id_of(copy)
        with copy.read() as session:
            assert session.scalars(select(Allocation.worker)).all() == [None]
    with store.read() as session:
        assert session.scalars(select(Allocation.worker)).all() == ["w"]


def attempted(store, home, *, under, step):
    """One attempt that is cut short after its checkpoint of `step`: its grant, as the ledger gives it."""
    with store.write() as session:
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=2)
        grant = ledger.begin_attempt(session, RUN, allocation_id=allocation, home=home, store=under)
        ledger.record(session, grant.token, step=step, checkpoint_step=step)
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=Charge(), last_step=step)
    return grant


def test_a_run_goes_on_from_what_lies_under_earlier_ids_and_in_homes_without(store):
    accepted(store, a_run())
    grants = [
        attempted(store, "/home", under=under, step=step) for under, step in ((None, 10), ("one", 20), ("one", 30), ("two", 40))
    ]
    assert [grant.folder for grant in grants] == [f"{RUN}/1", f"one/{RUN}/2", f"one/{RUN}/3", f"two/{RUN}/4"]
    assert [grant.resume_folder for grant in grants] == [None, f"{RUN}/1", f"one/{RUN}/2", f"one/{RUN}/3"]
    with store.read() as session:
        assert session.scalars(select(Attempt.directory).order_by(Attempt.number)).all() == [f"/home/{g.folder}" for g in grants]
