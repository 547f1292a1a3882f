"""Reads and checks the experiments file; its errors name file, line and the nearest known name."""

from orchestrator.experiments_file.document import Document
from orchestrator.experiments_file.fields import ModelField, ResourcesField, Spec
from orchestrator.experiments_file.reader import read_spec

__all__ = ["Document", "ModelField", "ResourcesField", "Spec", "read_spec"]
