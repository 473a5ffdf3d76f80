"""Two partitioned tables, as native partitioning and Citus make them, with the same rows.

`by_hash` has a key of one column. `by_list` is split by customer, so its key has two columns, as
PostgreSQL demands that it contain what the table is split by; its default partition is split
further, and one partition lies in another schema. An id of it says nothing without its customer:
the ids of each customer count from 1.
"""

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.search import Database, insert_embeddings

COLUMN = "instruction_embedding"
KEYS = {"by_hash": ["id"], "by_list": ["customer_id", "id"]}
CUSTOMERS = 4

_COLUMNS = f"id bigint, instruction text, customer_id text, {COLUMN} vector(384)"
_SCHEMA = f"""
CREATE TABLE by_hash ({_COLUMNS}, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE hash_2 PARTITION OF by_hash FOR VALUES WITH (MODULUS 3, REMAINDER 2);

CREATE TABLE by_list ({_COLUMNS}, PRIMARY KEY (customer_id, id)) PARTITION BY LIST (customer_id);
CREATE SCHEMA "Large";
CREATE TABLE "Large".list_0 PARTITION OF by_list FOR VALUES IN ('customer_0');
CREATE TABLE list_others PARTITION OF by_list DEFAULT PARTITION BY HASH (id);
CREATE TABLE others_0 PARTITION OF list_others FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE others_1 PARTITION OF list_others FOR VALUES WITH (MODULUS 2, REMAINDER 1);
"""
LEAVES = {"by_hash": ["hash_0", "hash_1", "hash_2"], "by_list": ["list_0", "others_0", "others_1"]}


async def make_partitioned(db: Database, vectors: NDArray[np.float32]) -> None:
    """Create both tables; row n, from 0 on, has the n-th vector and is the n % 4-th customer's."""
    await db.pool.execute(_SCHEMA)
    for table in KEYS:
        rows = (
            {**key_of(table, n), "customer_id": f"customer_{n % CUSTOMERS}", COLUMN: vector}
            for n, vector in enumerate(vectors)
        )
        await insert_embeddings(db, table, COLUMN, rows)
        await db.pool.execute(f"ANALYZE {table}")


def key_of(table: str, place: int) -> dict[str, object]:
    """The primary key of row `place`."""
    if table == "by_hash":
        return {"id": place + 1}
    return {"customer_id": f"customer_{place % CUSTOMERS}", "id": place // CUSTOMERS + 1}
