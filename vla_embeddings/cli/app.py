"""The commands, put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from vla_embeddings.cli import (
    backfill,
    bench,
    compare,
    db,
    demo,
    doctor,
    export,
    index,
    providers,
)

app = typer.Typer(
    name="vla-embeddings",
    help="Embeddings for robot VLA platforms: export models, check the set-up, prepare the "
    "database, see it all work. Settings come from EMBEDDING_* variables; see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(version("vla-embeddings"))
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print it and exit."
        ),
    ] = False,
) -> None:
    """What all commands share."""


app.command("export")(export.export)
app.command("verify")(export.verify)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("providers")(providers.providers)
app.command("backfill")(backfill.backfill)
app.command("compare")(compare.compare)
app.add_typer(db.app, name="db")
app.add_typer(index.app, name="index")
app.add_typer(bench.app, name="bench")
