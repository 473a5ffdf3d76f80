"""A connection pool for callers that have none."""

import asyncio
from types import TracebackType
from typing import Literal, Self, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.faults import as_embedding_error

SessionAttributes = Literal[
    "any", "primary", "standby", "prefer-standby", "read-write", "read-only"
]
"""Which servers will do, as libpq's parameter of this name has them."""

_SECRETS = ("password", "sslpassword")


class Database:
    """A pool of asyncpg connections, passed as `db` to every function of `search`.

        async with await Database.connect("postgresql://localhost/robots") as db:
            rows = await cosine_similarity_search(db, ...)

    Made by `connect`; `pool` is the asyncpg pool, for the caller's own queries.
    """

    def __init__(self, pool: asyncpg.Pool, *, address: str) -> None:
        self.pool = pool
        self.address = address

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        connect_seconds: float = 5.0,
        pgbouncer: bool = False,
        target_session_attrs: SessionAttributes | None = None,
    ) -> Self:
        """Open `min_size` connections now and up to `max_size` when needed.

        Args:
            dsn: `postgresql://user:password@host:port/database`; of several servers, a primary
                and its standbys, `postgresql://user@one:5432,two:5432/database`.
            connect_seconds: how long to wait, for each connection; the hosts of one share it.
            pgbouncer: the address is a PgBouncer in transaction mode, where prepared statements
                do not last: nothing is cached and each statement is prepared anew.
            target_session_attrs: each connection is to the first host that is so:
                "read-write" for a pool that writes, "prefer-standby" for one that reads and
                spares the primary. By default what `dsn` says, or any.

        Raises:
            DatabaseUnavailable: the server cannot be reached or refuses; the message names the
                address without its password.
            InvalidInput: `dsn` is no PostgreSQL address, the sizes are none of a pool, or
                `target_session_attrs` is unknown.
        """
        _check_sizes(min_size, max_size)
        try:
            address = _without_password(dsn)
        except (AttributeError, TypeError, ValueError):  # its text may hold the password
            raise _no_address() from None
        try:
            async with asyncio.timeout(connect_seconds):
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=min_size,
                    max_size=max_size,
                    timeout=connect_seconds,
                    statement_cache_size=0 if pgbouncer else 100,
                    target_session_attrs=_checked(target_session_attrs),
                    server_settings={"application_name": "vla-embeddings"},
                )
        except Exception as error:
            ours = as_embedding_error(error, address=address)
            if ours is not None:
                raise ours from error
            if type(error) is ValueError and "int()" in str(error):
                raise _no_address() from None
            raise
        return cls(pool, address=address)

    async def close(self) -> None:
        """Wait for running queries and close every connection."""
        await self.pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _check_sizes(least: int, most: int) -> None:
    if not (type(least) is type(most) is int and 0 <= least <= most and most > 0):
        raise InvalidInput(
            "max_size must be a whole number from 1, and min_size one from 0 to max_size; "
            f"got min_size={least!r}, max_size={most!r}."
        )


def _checked(attributes: SessionAttributes | None) -> SessionAttribute | None:
    if attributes is None:
        return None
    if attributes not in get_args(SessionAttributes):
        raise InvalidInput(
            f"target_session_attrs must be one of {', '.join(get_args(SessionAttributes))}; "
            f"got {attributes!r}."
        )
    return SessionAttribute(attributes)


def _no_address() -> InvalidInput:
    return InvalidInput(
        "Expected a PostgreSQL address such as postgresql://user:password@host:5432/database; got "
        "one that cannot be read. A password's own / : @ ? # are written %2F %3A %40 %3F %23."
    )


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    userinfo, at, host = parts.netloc.rpartition("@")
    user = userinfo.partition(":")[0]
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRETS]
    return urlunsplit(parts._replace(netloc=user + at + host, query=urlencode(query, safe="/")))
