"""The command line: `vla-embeddings`."""

import sys

import typer
from rich.console import Console

from vla_embeddings.cli import db, demo, doctor, export
from vla_embeddings.errors import EmbeddingError

app = typer.Typer(
    name="vla-embeddings",
    help="Embeddings for robot VLA platforms: export models, check the set-up, prepare the "
    "database, see it all work. Settings come from EMBEDDING_* variables; see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("export")(export.export)
app.command("verify")(export.verify)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(db.app, name="db")


def main() -> None:
    """Run the command line; exit 1 with one line on an error of ours."""
    try:
        app()
    except EmbeddingError as error:
        Console(stderr=True).print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
