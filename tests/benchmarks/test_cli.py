"""`vla-embeddings bench`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vla_embeddings.cli import bench
from vla_embeddings.config import EmbeddingConfig


@pytest.fixture(autouse=True)
def _few_calls(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    monkeypatch.setattr(
        "vla_embeddings.cli.bench.embedding_config", EmbeddingConfig(models_dir=models_dir)
    )
    monkeypatch.setattr("vla_embeddings.latency.CALLS", {"text": 3, "image": 2})
    monkeypatch.setattr("vla_embeddings.latency.WARM_UP", 1)


def test_bench_latency_prints_the_documents_table_as_json() -> None:
    answer = CliRunner().invoke(bench.app, ["latency", "--json"])
    rows = json.loads(answer.stdout)
    found = {(row["model"], row["dimension"], row["document_ms"]) for row in rows}
    assert found == {("all-MiniLM-L6-v2", 384, 15), ("clip-vit-base-patch32", 512, 50)}
    assert all(0 < row["p50_ms"] <= row["p90_ms"] for row in rows)


def test_bench_latency_prints_a_table_and_calls_untrained_weights_so() -> None:
    answer = CliRunner().invoke(bench.app, ["latency"])
    assert answer.exit_code == 0
    assert "384" in answer.stdout
    assert "document" in answer.stdout
