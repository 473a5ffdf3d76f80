"""Encoding peers as contenders: all of a kind, each in a process of its own."""

import pickle
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.adapter import Place
from benchmarks.peers.encoders import ENCODERS
from benchmarks.peers.environment import ARTIFACTS, PeerEnvironment, PeerFailed
from benchmarks.peers.files import peer_files
from benchmarks.peers.process import Worker, start_worker
from benchmarks.results import Absence
from vla_embeddings.models import Artifact, Kind


@dataclass(frozen=True, slots=True)
class Peer:
    """A library with the same weights and inputs; see `benchmarks.peers.worker`."""

    name: str
    """With its version."""
    on: Mapping[str, str]
    """The packages that do its work, with their versions."""
    _worker: Worker
    _scratch: Path

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Wall seconds of embedding each part, by the worker's own clock."""
        answer = self._worker.ask({"parts": [[part.start, part.stop] for part in parts]})
        seconds: list[float] = answer["seconds"]
        return seconds

    def vectors(self, part: slice) -> NDArray[np.float32]:
        """(n, dimension) float32."""
        file = self._scratch / "vectors.npy"
        self._worker.ask({"save": [part.start, part.stop], "to": str(file)})
        vectors: NDArray[np.float32] = np.load(file)
        return vectors


@contextmanager
def compete(
    environment: PeerEnvironment,
    kind: Kind,
    inputs: Sequence[Any],
    fp32: Callable[[Kind], Artifact],
    place: Place,
) -> Iterator[tuple[list[Peer], list[Absence]]]:
    """All peers for a kind of input, loaded, and those that could not be.

    Args:
        environment: where they are installed.
        kind: of input.
        inputs: texts, or the bytes of images.
        fp32: our artefact of a kind, whose weights the peers get.
        place: where they are to run.
    """
    able = {
        name: place.device == "cpu" or adapter.on_gpu
        for (each, name), adapter in ENCODERS.items()
        if each == kind
    }
    names = [name for name in able if able[name]]
    absences = [
        Absence(f"{name} ({kind})", "has no support for NVIDIA's GPUs")
        for name in able
        if not able[name]
    ]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (scratch / "inputs").write_bytes(pickle.dumps(list(inputs)))
        try:
            python = environment.interpreter()
            folder = peer_files(fp32(kind), ARTIFACTS / "bench-peer-files")
        except Exception as error:  # of any PyTorch's exporter, too, which have no common class
            reason = str(error) or repr(error)
            yield [], [*absences, *(Absence(f"{name} ({kind})", reason) for name in names)]
            return
        # All start before the first is waited for: loading is the better part of a quick run.
        started = {
            name: stack.enter_context(_started(python, kind, name, folder, scratch, place))
            for name in names
        }
        peers = []
        for name, worker in started.items():
            try:
                said = worker.heard()
                called = ENCODERS[kind, name].name_in(place, name)
                peers.append(Peer(f"{called} {said['version']}", said["on"], worker, scratch))
            except PeerFailed as error:
                absences.append(Absence(f"{name} ({kind})", str(error)))
        yield peers, absences


def _started(
    python: Path, kind: Kind, name: str, folder: Path, scratch: Path, place: Place
) -> Any:
    inputs = str(scratch / "inputs")
    arguments = [kind, name, str(folder), inputs, place.device, str(place.threads)]
    log = scratch / f"{re.sub(r'[^a-z]+', '-', name)}.log"
    return start_worker(python, "benchmarks.peers.worker", arguments, log)
