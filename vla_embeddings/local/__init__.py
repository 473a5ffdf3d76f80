"""Embedded PostgreSQL with pgvector, and embedded Valkey, for demos and tests.

Both run as child processes from binaries that the extra `embedded` installs; nothing on the
system is changed. Production uses its own servers (`EMBEDDING_DATABASE_URL`,
`EMBEDDING_REDIS_URL`).
"""

from vla_embeddings.local.postgres import LocalPostgres
from vla_embeddings.local.valkey import LocalValkey

__all__ = ["LocalPostgres", "LocalValkey"]
