"""`vla-embeddings doctor`."""

import asyncio
from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from vla_embeddings.cli.output import Json, print_json, stdout

_SIGNS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "broken": "[red]broken[/]"}


def doctor(json: Json = False) -> None:
    """Say what works on this machine, and what to do about what does not.

    Exit status 1 where something is broken; a note is something that is merely absent.
    """
    from vla_embeddings.config import embedding_config
    from vla_embeddings.doctor import examine

    findings = asyncio.run(examine(embedding_config))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table(show_header=False)
        for finding in findings:
            remedy = f"\n[dim]→ {escape(finding.remedy)}[/]" if finding.remedy else ""
            table.add_row(
                escape(finding.subject),
                _SIGNS[finding.state],
                escape(finding.detail) + remedy,
            )
        stdout.print(table)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
