"""What all commands share in how they speak: results on stdout, progress on stderr."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]

stdout = Console()
stderr = Console(stderr=True)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress on standard error, gone when done; silent where that is no terminal."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
    ) as progress:
        yield progress
