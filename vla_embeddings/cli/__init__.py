"""The command line: `vla-embeddings`."""

import sys
from io import TextIOWrapper

from rich.console import Console

from vla_embeddings.errors import EmbeddingError


def main() -> None:
    """Run the command line; exit 1 with one line on an error of ours."""
    if isinstance(sys.stdout, TextIOWrapper):  # what its encoding lacks shall not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Here, because unusable EMBEDDING_* variables show when the settings are first read.
        from vla_embeddings.cli.app import app

        app()
    except EmbeddingError as error:
        Console(stderr=True).print(
            f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)
