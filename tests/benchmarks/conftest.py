"""A benchmark run so small that it shows only whether the suites work."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench import Bench
from benchmarks.inputs import load_inputs
from benchmarks.peers.environment import PeerEnvironment, this_environment
from benchmarks.peers.peer import compete
from benchmarks.results import Findings
from benchmarks.size import TINY
from benchmarks.suites import SUITES
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.models import Kind


@pytest.fixture(scope="session")
def bench(models_dir: Path) -> Iterator[Bench]:
    """Tiny, on generated inputs, without peers, beside limits that are quickly found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.limits.gemm.SIDE", 128)
        patch.setattr("benchmarks.limits.gemm.SECONDS", 0.001)
        patch.setattr("benchmarks.limits.bandwidth.ARRAY_BYTES", 2**20)
        yield Bench(
            TINY,
            load_inputs(TINY, data=Path("missing")),
            EmbeddingConfig(models_dir=models_dir),
            peers=None,
            track=lambda what, length: lambda steps: None,
        )


@pytest.fixture(scope="session")
def find(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Findings]]:
    """What a suite finds, by its name; each runs once.

    Latency has the peers of instructions that are in this Python; those of images would take half
    a minute to load.
    """
    beside_peers = replace(bench, peers=this_environment())
    left_out = PeerEnvironment(Path(sys.executable), "left out of the tiny run")

    def of_texts(environment: PeerEnvironment, kind: Kind, *others: Any) -> Any:
        return compete(environment if kind == "text" else left_out, kind, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.peers.peer.ARTIFACTS", tmp_path_factory.mktemp("peers"))
        patch.setattr("benchmarks.contest.compete", of_texts)
        yield cache(lambda name: SUITES[name](beside_peers if name == "latency" else bench))
