"""Faults of asyncpg, SQLAlchemy and the network -> errors of our tree."""

import sys

import asyncpg

from vla_embeddings.errors import (
    DatabaseUnavailable,
    EmbeddingError,
    InvalidInput,
    SearchError,
    UnknownName,
)

# SQLSTATE prefixes (PostgreSQL, appendix A). The first that fits decides.
_BY_SQLSTATE: tuple[tuple[str, type[EmbeddingError], str], ...] = (
    ("08", DatabaseUnavailable, "The connection was lost; try again."),
    ("57P", DatabaseUnavailable, "The server ended the connection; try again."),
    ("53300", DatabaseUnavailable, "The server has no free connection."),
    ("28", DatabaseUnavailable, "Check the user, the password and pg_hba.conf."),
    ("3D", DatabaseUnavailable, "Check the database's name."),
    ("42P01", UnknownName, "Check the table's name."),
    ("42703", UnknownName, "Check the column's name."),
    ("22", InvalidInput, "A value does not fit its column's type."),
    ("23", InvalidInput, "A value breaks a constraint of the table."),
    ("42883", InvalidInput, "The column's type has no such comparison."),
    ("25006", SearchError, "The server is read-only; write to the primary."),
    ("25001", SearchError, "Run it outside a transaction, or with concurrently=False."),
    ("42501", SearchError, "Ask the table's owner, or grant the role what it lacks."),
    ("57014", SearchError, "The statement ran into statement_timeout or was cancelled."),
    ("55P03", SearchError, "Another session holds the lock; try again."),
    ("40", SearchError, "Two transactions collided; try again."),
    ("54", SearchError, "It is over one of the server's limits."),
)


def as_embedding_error(error: Exception, *, address: str | None) -> EmbeddingError | None:
    """What a caller should see in place of `error`; None where it is not the database's."""
    if isinstance(error, EmbeddingError):  # some of ours are OSErrors too
        return None
    if isinstance(error, asyncpg.PostgresError):
        return _from_server(error, address)
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return InvalidInput(str(error))
    if isinstance(error, asyncpg.InterfaceError):
        # "connection is closed", "pool is closing", "has been released back to the pool"
        lost = "clos" in str(error) or "released" in str(error)
        return (DatabaseUnavailable if lost else SearchError)(f"{_place(address)}: {error}")
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return DatabaseUnavailable(
            f"{_place(address)}: no server is as target_session_attrs demands, such as a primary "
            "for read-write. Check which hosts are named and up."
        )
    if isinstance(error, asyncpg.InternalClientError):  # of a connection about to be closed
        return DatabaseUnavailable(f"{_place(address)}: the connection broke: {error}")
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable(
            f"{_place(address)} gave no connection or answer in time. Check that the server is "
            "up and that the pool is large enough."
        )
    if isinstance(error, OSError):
        return DatabaseUnavailable(
            f"{_place(address)} cannot be reached: {error}. Check the address and the server."
        )
    alchemy = sys.modules.get("sqlalchemy.exc")
    if alchemy is not None and isinstance(error, alchemy.SQLAlchemyError):
        return DatabaseUnavailable(f"SQLAlchemy gave no usable connection: {error}")
    return None


def _from_server(error: asyncpg.PostgresError, address: str | None) -> EmbeddingError:
    state = error.sqlstate or ""
    message = str(error).rstrip(".")
    for prefix, kind, advice in _BY_SQLSTATE:
        if state.startswith(prefix):
            return kind(f"{_place(address)}: {message}. {advice}")
    return SearchError(f"{_place(address)}: {message} (SQLSTATE {state}).")


def _place(address: str | None) -> str:
    return f"PostgreSQL at {address}" if address else "PostgreSQL"
