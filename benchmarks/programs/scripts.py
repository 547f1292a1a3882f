"""The page's snippets as whole programs: those of PyTorch and torchrun are, the callbacks get a small training around them."""

from __future__ import annotations

from benchmarks.programs.page import snippet

__all__ = ["NAMES", "script"]

NAMES = ("PyTorch", "torchrun", "Lightning", "Hugging Face")

_ARGUMENTS = """

import argparse
import torch

parser = argparse.ArgumentParser()
for name, kind in (("width", int), ("epochs", int), ("lr", float), ("seed", int)):
    parser.add_argument(f"--{name}", type=kind)
given = parser.parse_args()
data = torch.Generator().manual_seed(0)
x = torch.rand(1024, 4, generator=data) * 2 - 1
y = torch.sin(3 * x).sum(1, keepdim=True) / 2
"""
_LIGHTNING = """
from torch.utils.data import DataLoader, TensorDataset


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Linear(4, given.width), torch.nn.Tanh(), torch.nn.Linear(given.width, 1))

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.model(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.model(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=given.lr, momentum=0.9)


lightning.seed_everything(given.seed)
trainer = lightning.Trainer(
    max_epochs=given.epochs, callbacks=[Reports()], accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
)
loaders = [DataLoader(TensorDataset(x[rows], y[rows]), batch_size=32) for rows in (slice(256, None), slice(256))]
trainer.fit(Module(), *loaders, ckpt_path=os.environ.get("SCALING_CHECKPOINT"))
"""
_HUGGING_FACE = """
from transformers import Trainer, TrainingArguments, set_seed


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Linear(4, given.width), torch.nn.Tanh(), torch.nn.Linear(given.width, 1))

    def forward(self, inputs, labels):
        outputs = self.model(inputs)
        return {"loss": torch.nn.functional.mse_loss(outputs, labels), "logits": outputs}


set_seed(given.seed)
arguments = TrainingArguments(
    output_dir=os.environ.get("SCALING_RUN", "output"), num_train_epochs=given.epochs, learning_rate=given.lr, seed=given.seed,
    per_device_train_batch_size=32, logging_steps=12, save_steps=24, eval_strategy="steps", eval_steps=48, use_cpu=True, report_to=[],
    disable_tqdm=True, dataloader_pin_memory=False,
)
train, validation = ([{"inputs": x[i], "labels": y[i]} for i in rows] for rows in (range(256, 1024), range(256)))
trainer = Trainer(Model(), arguments, train_dataset=train, eval_dataset=validation, callbacks=[Reports()])
trainer.train(resume_from_checkpoint=os.environ.get("SCALING_CHECKPOINT"))
report(finished=True, val_loss=trainer.evaluate()["eval_loss"])
"""


def script(name: str) -> str:
    """Return the program of a snippet."""
    return snippet(name) + {"Lightning": _ARGUMENTS + _LIGHTNING, "Hugging Face": _ARGUMENTS + _HUGGING_FACE}.get(name, "")
