"""Embeddings beside inference: made while the policy computes, stored where customers agreed."""

from vla_embeddings.inference.consent import ConsentCheck
from vla_embeddings.inference.consent_table import ConsentTable
from vla_embeddings.inference.embeddings import InferenceEmbeddings
from vla_embeddings.inference.forget import Forgotten
from vla_embeddings.inference.outcome import Embedded, Outcome, Reason
from vla_embeddings.inference.record import Inference, Lost, Record

__all__ = [
    "ConsentCheck",
    "ConsentTable",
    "Embedded",
    "Forgotten",
    "Inference",
    "InferenceEmbeddings",
    "Lost",
    "Outcome",
    "Reason",
    "Record",
]
