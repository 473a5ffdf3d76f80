"""The service's own tables."""

from importlib.resources import files

from vla_embeddings.search.handles import Handle, atomic, connected

# Two workers that start together must not both create: IF NOT EXISTS alone still collides in the
# system catalog. Any constant will do; this one spells "vla".
_SCHEMA_LOCK = 0x766C61


async def create_schema(db: Handle) -> None:
    """Create the extension, `instruction_analytics` and `context_metadata`, or what they lack.

    The statements are those of `schema.sql` beside this file, run in one transaction (the
    caller's, where there is one). Running them again changes nothing.

    Raises:
        SearchError: pgvector is not installed on the server, or the role may not create.
        DatabaseUnavailable: the server cannot be reached.
    """
    statements = files("vla_embeddings.search").joinpath("schema.sql").read_text()
    async with connected(db, writing=True) as connection, atomic(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute(statements)
