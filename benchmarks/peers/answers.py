"""How a worker answers its parent."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def answers_alone() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Standard output for the answers alone, one JSON object a line.

    Libraries print what they like; that goes to standard error. A failure inside becomes the last
    answer, `{"error": ...}`.
    """
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=output)

    try:
        yield answer
    except Exception as error:  # whatever a peer raises, the parent must hear of it
        answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
