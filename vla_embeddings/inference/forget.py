"""A customer's vectors, cleared."""

from dataclasses import dataclass

from vla_embeddings.inference.record import Kind
from vla_embeddings.inference.rows import PLACES, customer_column
from vla_embeddings.search.handles import Connection, Handle, atomic, connected


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many vectors of a customer are gone."""

    instructions: int
    """Cleared in `instruction_analytics`."""
    images: int
    """Cleared in `context_metadata`."""
    waiting: int
    """Accepted, and now never written."""


async def clear(db: Handle, customer_id: str, *, waiting: int) -> Forgotten:
    """Set the customer's vectors to NULL in both tables, in one transaction; rows stay.

    Raises:
        InvalidInput: the id does not fit the type of a `customer_id` column.
        DatabaseUnavailable: the server cannot be reached; nothing is cleared then.
    """
    async with connected(db, writing=True) as connection, atomic(connection):
        return Forgotten(
            instructions=await _clear(connection, "instruction", customer_id),
            images=await _clear(connection, "image", customer_id),
            waiting=waiting,
        )


async def _clear(connection: Connection, kind: Kind, customer_id: str) -> int:
    place = PLACES[kind]
    customer = await customer_column(connection, place)
    status = await connection.execute(
        f"UPDATE {place.table} SET {place.embedding_column} = NULL "
        f"WHERE customer_id = $1::text::{customer.base_type} "
        f"AND {place.embedding_column} IS NOT NULL",
        customer_id,
    )
    return int(status.rpartition(" ")[2])
