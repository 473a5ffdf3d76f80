"""docs/inference.md does what it says."""

from pathlib import Path
from typing import Any

import pytest

from tests.blocks import code_blocks, run_block
from vla_embeddings import EmbeddingService
from vla_embeddings.inference import Reason, embeddings

GUIDE = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()


async def test_the_guides_python_runs_as_written(
    service: EmbeddingService, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"service": service}

    guide = GUIDE.replace("postgresql://localhost/robots", dsn)
    guide = guide.replace("budget_ms=5)", "budget_ms=20_000)")  # on any machine
    for block in code_blocks(guide, "python"):
        await run_block(block, names)

    printed = capsys.readouterr().out
    assert "Instruction embedding shape: (384,)" in printed
    assert printed.endswith("1 1 0\n")


def test_the_guide_lists_every_reason() -> None:
    for reason in Reason:
        assert f"| `{reason}` |" in GUIDE
    assert f"{embeddings.MAX_MAKING} embeddings" in GUIDE
