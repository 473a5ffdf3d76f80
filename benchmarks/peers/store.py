"""A library that stores vectors, as a contender: a process of its own, on a server of ours."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environment import PeerEnvironment
from benchmarks.peers.process import Worker, start_worker
from benchmarks.peers.stores import StoreInputs


@dataclass(frozen=True, slots=True)
class Store:
    """A library that does one step at a time; see `benchmarks.peers.store_worker`."""

    name: str
    """With its version."""
    on: dict[str, str]
    """The packages that do its work, with their versions."""
    _worker: Worker

    def seconds(self, step: str) -> float:
        """Wall seconds of a step of `benchmarks.peers.stores`, by the worker's own clock.

        Raises:
            PeerFailed: it failed or ended.
        """
        seconds: float = self._worker.ask({"step": step, "query": 0})["seconds"]
        return seconds

    def search(self, query: int) -> tuple[float, list[int]]:
        """Wall seconds of the step `search`, and which of the stored vectors it found.

        Raises:
            PeerFailed: it failed or ended.
        """
        answer = self._worker.ask({"step": "search", "query": query})
        return answer["seconds"], answer["found"]


@contextmanager
def start_store(
    environment: PeerEnvironment, name: str, url: str, inputs: StoreInputs
) -> Iterator[Store]:
    """Start a library's process and wait until it is connected to the server at `url`.

    Raises:
        PeerFailed: it cannot be installed or did not come up.
    """
    python = environment.interpreter()
    with tempfile.TemporaryDirectory(prefix="vla-benchmark-") as scratch:
        folder = Path(scratch)
        inputs.write(folder)
        module, log = "benchmarks.peers.store_worker", folder / "log"
        with start_worker(python, module, [name, url, scratch], log) as worker:
            said = worker.heard()
            yield Store(f"{name} {said['version']}", said["on"], worker)
