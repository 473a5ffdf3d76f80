"""Embeddings beside inference: made while the policy computes, stored where customers agreed."""

from vla_embeddings.inference.consent import ConsentCheck
from vla_embeddings.inference.consent_table import ConsentTable
from vla_embeddings.inference.embeddings import InferenceEmbeddings
from vla_embeddings.inference.forget import Forgotten
from vla_embeddings.inference.outcome import Embedded, Outcome, Reason
from vla_embeddings.inference.record import Attempt, Fate, Inference, OnLost, Record

__all__ = [
    "Attempt",
    "ConsentCheck",
    "ConsentTable",
    "Embedded",
    "Fate",
    "Forgotten",
    "Inference",
    "InferenceEmbeddings",
    "OnLost",
    "Outcome",
    "Reason",
    "Record",
]
