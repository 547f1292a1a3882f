"""Proof that each example was used exactly once an epoch, however often the run was taken away and given back.

While a run trains, `Recorder` adds up the ids that entered each step. Afterwards `check` compares those sums, over the attempts whose steps
survived, with the sums over each epoch's whole set of examples, which are computed without the order that the loader followed.
"""

from trainer.audit.check import AuditReport, EpochAudit, Stretch, check
from trainer.audit.record import Recorder

__all__ = ["AuditReport", "EpochAudit", "Recorder", "Stretch", "check"]
