"""What the suites find in the tiny run; one process runs all of this folder, so each runs once."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench import Bench
from benchmarks.peers.environment import PeerEnvironment, this_environment
from benchmarks.peers.peer import _started, compete
from benchmarks.results import Findings
from benchmarks.suites import SUITES
from tests.cache.servers import PatientCache
from vla_embeddings.models import Kind


@pytest.fixture(scope="session")
def find(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Findings]]:
    """What a suite finds, by its name; each runs once.

    Latency has the peers of instructions that are in this Python. Those of images are left out,
    and sentence-transformers does not come up: they would take half a minute to load.
    """
    beside_peers = replace(bench, peers=this_environment())
    left_out = PeerEnvironment(Path(sys.executable), "left out of the tiny run")

    def of_texts(environment: PeerEnvironment, kind: Kind, *others: Any) -> Any:
        return compete(environment if kind == "text" else left_out, kind, *others)

    def started(python: Path, kind: Kind, name: str, *others: Any) -> Any:
        ends_at_once = name.startswith("sentence-transformers")
        return _started(Path("false") if ends_at_once else python, kind, name, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.peers.peer.ARTIFACTS", tmp_path_factory.mktemp("peers"))
        patch.setattr("benchmarks.search.inputs.ARTIFACTS", tmp_path_factory.mktemp("search"))
        patch.setattr("benchmarks.peers.peer._started", started)
        patch.setattr("benchmarks.contest.compete", of_texts)
        for module in ("clients", "flights"):  # which time no faults
            patch.setattr(f"benchmarks.cache.{module}.EmbeddingCache", PatientCache)
        yield cache(lambda name: SUITES[name](beside_peers if name == "latency" else bench))
