"""`python -m benchmarks`, as it is called."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.machine import REPOSITORY
from benchmarks.size import TINY
from vla_embeddings.config import EmbeddingConfig

KEPT = REPOSITORY / "benchmarks" / "results"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    """As small as can be, on the models that are there."""
    for module in ("benchmarks.__main__", "benchmarks.measuring"):
        monkeypatch.setattr(f"{module}.QUICK", TINY)
    monkeypatch.setattr("benchmarks.measuring.prepare", lambda *_: None)
    config = EmbeddingConfig(models_dir=models_dir)
    monkeypatch.setattr("benchmarks.measuring.embedding_config", config)


def test_a_quick_run_is_printed_and_written_where_it_is_asked_for_and_not_kept(
    tmp_path: Path,
) -> None:
    kept = {path: path.read_bytes() for path in KEPT.iterdir()}
    file = tmp_path / "new.json"

    done = CliRunner().invoke(
        app, ["--quick", "micro", "startup", "--peers-here", "--json", str(file)]
    )

    assert done.exit_code == 0, done.output
    assert "tokenize one instruction" in done.stdout
    written = json.loads(file.read_text())
    assert written.keys() == {"micro", "startup"}
    assert written["micro"]["inputs"] == "generated instructions and a drawn scene"
    assert {path: path.read_bytes() for path in KEPT.iterdir()} == kept


def test_models_are_not_exported_where_they_are_to_be_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmarks.measuring.embedding_config", EmbeddingConfig(models_dir=tmp_path)
    )
    done = CliRunner().invoke(app, ["--quick", "startup", "--models-here", "--peers-here"])
    assert done.exit_code == 1
    assert "Make it: vla-embeddings export --model text --precision fp32" in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_suite_that_is_not_there_is_named_beside_those_that_are() -> None:
    done = CliRunner().invoke(app, ["speed"])
    assert done.exit_code == 2
    assert "no suite 'speed'" in done.stderr
    assert "throughput" in done.stderr
