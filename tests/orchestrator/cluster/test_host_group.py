"""Several hosts as one, without the hosts."""

from types import SimpleNamespace

from tests.orchestrator.rows import an_assignment
from tests.orchestrator.workers import TOKEN, slot_of


def test_a_broken_group_refuses_the_next_run_which_costs_it_nothing():
    import threading

    from orchestrator.cluster.host_group import HostGroup
    from orchestrator.cluster.mailbox import Mailbox

    hosts = HostGroup.__new__(HostGroup)  # without the hosts, of which one is gone
    hosts._lock, hosts._taken, hosts._owner, hosts._mailbox = threading.RLock(), set(), None, Mailbox()
    hosts._broken, hosts._attempt = "host 1 is gone", None
    hosts.start(an_assignment(TOKEN).to_dict())
    [message] = hosts._mailbox.take(0)
    log = slot_of(SimpleNamespace()).attempts[TOKEN]
    log.take(message)
    assert (str(log.ending.outcome), log.ending.reason) == ("interrupted", "host 1 is gone")
    assert hosts._attempt is None
