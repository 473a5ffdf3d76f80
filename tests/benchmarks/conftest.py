"""A benchmark run so small that it shows only whether the suites work."""

from pathlib import Path

import pytest

from benchmarks.bench import Bench
from benchmarks.inputs import load_inputs
from benchmarks.size import Size
from vla_embeddings.config import EmbeddingConfig

TINY = Size(
    latency_turns=2,
    instruction_calls=2,
    image_calls=1,
    throughput_turns=2,
    instructions=8,
    images=2,
    starts=1,
    neighbour_texts=24,
    pairs=8,
    requests=2,
    recorded=50,
    outage_seconds=0.1,
)


@pytest.fixture(scope="session")
def bench(models_dir: Path) -> Bench:
    """Tiny, on generated inputs, without peers."""
    return Bench(
        TINY,
        load_inputs(TINY, data=Path("missing")),
        EmbeddingConfig(models_dir=models_dir),
        peers=None,
        track=lambda what, length: lambda steps: None,
    )
