"""`vla-embeddings db`: the tables of the document."""

import asyncio
from typing import Annotated

import typer

from vla_embeddings.cli.output import stdout
from vla_embeddings.config import embedding_config
from vla_embeddings.errors import ConfigurationError

app = typer.Typer(help="Prepare the database.", no_args_is_help=True)

DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL.", show_default="EMBEDDING_DATABASE_URL"),
]


@app.callback()
def _group() -> None:
    """Prepare the database."""


@app.command()
def init(database_url: DatabaseUrl = None) -> None:
    """Create the extension, tables and columns that embeddings need; safe to run again.

    Adds the embedding columns to tables that exist already, and ordinary indexes on customer_id
    (both tables) and analytics_id (context_metadata). While columns are added, reads and writes of
    that table wait for a moment; while an index is built, writes wait, so of large tables, run
    CREATE INDEX CONCURRENTLY ON instruction_analytics (customer_id), and so on, before. Where
    nothing is lacking, no table is locked. Vector indexes are made by `vla-embeddings index
    create`, best after the first rows are in.
    """
    asyncio.run(_init(given_database_url(database_url)))
    stdout.print("The tables instruction_analytics and context_metadata are ready.")


def given_database_url(option: str | None) -> str:
    """The address from the option or the environment.

    Raises:
        ConfigurationError: neither is there.
    """
    if option is not None:
        return option
    if embedding_config.database_url is None:
        raise ConfigurationError(
            "No database: set EMBEDDING_DATABASE_URL, or pass --database-url "
            "postgresql://user:password@host/name."
        )
    return embedding_config.database_url


async def _init(address: str) -> None:
    from vla_embeddings.search import Database, create_schema

    async with await Database.connect(address) as database:
        await create_schema(database.pool)
