"""The cache's suite leaves alone what others keep on the server it is given."""

import numpy as np
import pytest

from benchmarks.cache.flights import shared_computations
from tests.cache.servers import PatientCache


async def test_only_the_vector_that_all_ask_for_is_forgotten_before(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.cache.flights.EmbeddingCache", PatientCache)
    vector = np.ones(384, np.float32)
    async with PatientCache(redis_url, memory_entries=0) as cache:
        await cache.set_many({"instruction:asked": vector, "instruction:of a robot": vector})
        findings = await shared_computations(redis_url, {"instruction:asked": vector})
        assert await cache.get_embedding("instruction:of a robot") is not None
    [verdict] = findings.verdicts
    assert verdict.figure.median == 1
