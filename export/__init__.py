"""Checkpoint to ONNX, with proof. The only part that imports torch and transformers."""

from vla_embeddings.export.ensure import (
    PRECISIONS,
    Progress,
    Status,
    ensure_exported,
    find_current,
)

__all__ = ["PRECISIONS", "Progress", "Status", "ensure_exported", "find_current"]
