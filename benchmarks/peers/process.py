"""A peer as a contender: a worker process that is asked and then waited for."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import REPOSITORY
from vla_embeddings.runtime import available_cpus


class PeerFailed(Exception):
    """A peer that cannot run; the message is its own."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A worker process; see `benchmarks.peers.worker` for what is said."""

    name: str
    """With its version."""
    _process: subprocess.Popen[str]
    _scratch: Path

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Wall seconds of embedding each part, by the worker's own clock."""
        answer = _ask(self._process, {"parts": [[part.start, part.stop] for part in parts]})
        seconds: list[float] = answer["seconds"]
        return seconds

    def vectors(self, part: slice) -> NDArray[np.float32]:
        """(n, dimension) float32."""
        file = self._scratch / "vectors.npy"
        _ask(self._process, {"save": [part.start, part.stop], "to": str(file)})
        vectors: NDArray[np.float32] = np.load(file)
        return vectors


@contextmanager
def start_peer(
    python: Path, kind: str, name: str, folder: Path, inputs: Path, scratch: Path
) -> Iterator[Peer]:
    """Start a peer's worker and wait until it has embedded its first input.

    Raises:
        PeerFailed: it did not come up.
    """
    words = [python, "-m", "benchmarks.peers.worker", kind, name, folder, inputs, available_cpus()]
    with (
        (scratch / f"{name}.log").open("w") as log,
        subprocess.Popen(
            [str(word) for word in words],
            cwd=REPOSITORY,
            # All files are at hand; without this, some would look for newer ones first.
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Peer(f"{name} {_heard(process)['version']}", process, scratch)
        finally:
            process.kill()


def _ask(process: subprocess.Popen[str], question: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None  # a pipe
    print(json.dumps(question), file=process.stdin, flush=True)
    return _heard(process)


def _heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None  # a pipe
    line = process.stdout.readline()
    if not line:
        raise PeerFailed(f"its process ended with status {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise PeerFailed(answer["error"])
    return answer
