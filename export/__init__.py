"""Checkpoint to ONNX, with proof. The only part that imports torch and transformers."""

from vla_embeddings.export.ensure import (
    Progress,
    Status,
    ensure_exported,
    find_current,
)

__all__ = ["Progress", "Status", "ensure_exported", "find_current"]
