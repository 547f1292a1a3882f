"""Fine-tuning through the real command, real Ray and real SQLite: from the parent's weights, killed on the way, with the same bits."""

import pytest

from tests.orchestrator.scheduling.test_end_to_end import A_STEP, SLOW, SLOW_DIGITS, Study, assert_ledger_adds_up
from trainer import train

FINETUNE = f"""\
finetune:
  dataset: {{{SLOW_DIGITS}}}
  epochs: 3
  learning_rate: 0.4
  ema: 0.9
  sam: {{}}
"""


@pytest.fixture
def study(tmp_path, request):
    return Study(tmp_path, request.node.name)


def test_a_scheduler_killed_while_a_run_is_fine_tuned(study, tmp_path, monkeypatch):
    """The fine-tuning goes on from its own checkpoint, not from its parent's, and ends with the bits of one that was not killed."""
    (tmp_path / "slow.py").write_text(SLOW)
    file = study.write(epochs="[1]", extra=FINETUNE)
    process = study.start("submit", file, "--checkpoint-seconds", "1", **A_STEP)
    study.wait_for("SELECT count(*) FROM runs WHERE parent_id IS NOT NULL AND resume_step > 0")
    process.kill()
    process.communicate()
    study.run("submit", file)
    rows = {row["stage"]: row for row in study.rows().values()}
    parent, tuned = rows["pretraining"], rows["finetuning"]
    assert (parent["status"], tuned["status"], tuned["parent"]) == ("finished", "finished", parent["id"])
    assert (parent["attempts"], tuned["attempts"]) == (1, 2)
    assert_ledger_adds_up(study.db)
    assert study.json("audit", tuned["id"])["audit"]["complete"]

    monkeypatch.syspath_prepend(tmp_path)
    start = train(study.config_of(parent["id"]), directory=tmp_path / "parent")
    assert start.val_loss == parent["val_loss"]
    initial = {"directory": tmp_path / "parent", "step": start.checkpoint_step}
    assert train(study.config_of(tuned["id"]), directory=tmp_path / "alone", initial=initial).val_loss == tuned["val_loss"]
