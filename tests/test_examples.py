"""Each example runs as its docstring says."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_embed_and_search_finds_the_nearest_first(models_dir: Path) -> None:
    result = subprocess.run(
        [sys.executable, EXAMPLES / "embed_and_search.py", "grasp the crimson cube"],
        env={**os.environ, "EMBEDDING_MODELS_DIR": str(models_dir)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert result.stdout.splitlines()[0].endswith("pick up the red block"), result.stderr
