"""What is said of every vector that will not be stored."""

import logging

from vla_embeddings.inference.record import Fate, Inference, Kind
from vla_embeddings.metrics import STORAGE_FAILED

logger = logging.getLogger(__name__)


def report_loss(kind: Kind, inference: Inference, fate: Fate, detail: str) -> None:
    """Count a vector that was lost, and log whose it was."""
    STORAGE_FAILED.labels(fate).inc()
    logger.error(
        "The %s vector of analytics_id %s is not stored: %s. %s",
        kind,
        inference.analytics_id,
        fate,
        detail,
        extra={
            "embedding_kind": kind,
            "analytics_id": inference.analytics_id,
            "customer_id": inference.customer_id,
            "reason": str(fate),
        },
    )
