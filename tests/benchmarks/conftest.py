"""A benchmark run so small that it shows only whether the suites work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bench import Bench
from benchmarks.inputs import load_inputs
from benchmarks.size import TINY
from vla_embeddings.config import EmbeddingConfig


@pytest.fixture(scope="session")
def bench(models_dir: Path) -> Iterator[Bench]:
    """Tiny, on generated inputs, without peers, beside limits that are quickly found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.limits.gemm.SIDE", 128)
        patch.setattr("benchmarks.limits.gemm.SECONDS", 0.001)
        patch.setattr("benchmarks.limits.bandwidth.ARRAY_BYTES", 2**20)
        patch.setattr("benchmarks.concurrency.BULK", {"text": 100, "image": 4})
        yield Bench(
            TINY,
            load_inputs(TINY, data=Path("missing")),
            EmbeddingConfig(models_dir=models_dir),
            peers=None,
            track=lambda what, length: lambda steps: None,
        )
