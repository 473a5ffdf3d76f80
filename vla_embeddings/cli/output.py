"""What all commands share in how they speak: results on stdout, progress on stderr."""

import json
import math
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
    """Write one JSON document to standard output; what JSON has no form for, as text."""
    print(json.dumps(_plain(value), indent=2, default=str))


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress on standard error, gone when done; silent where that is no terminal."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
    ) as progress:
        yield progress


def _plain(value: Any) -> Any:
    """`value` with NaN and infinity, which Python would write as no JSON parser reads, as text."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
