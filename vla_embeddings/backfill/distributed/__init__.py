"""The backfill on Ray (extra `distributed`): encoders on any number of CPUs and machines."""

from vla_embeddings.backfill.distributed.engine import RayEngine

__all__ = ["RayEngine"]
