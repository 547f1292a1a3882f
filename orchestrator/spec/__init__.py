"""The experiments file: read, checked, with errors that name file, line and nearest name."""

from orchestrator.spec.document import Document
from orchestrator.spec.fields import ModelField, ResourcesField, Spec
from orchestrator.spec.reader import read_spec

__all__ = ["Document", "ModelField", "ResourcesField", "Spec", "read_spec"]
