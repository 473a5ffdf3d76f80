"""The peers' virtual environment, and the peers that come up in it."""

import pickle
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import REPOSITORY
from benchmarks.peers.adapters import ADAPTERS
from benchmarks.peers.files import peer_files
from benchmarks.peers.process import Peer, PeerFailed, start_peer
from benchmarks.results import Absence
from vla_embeddings.errors import EmbeddingError
from vla_embeddings.models import Artifact, Kind

ARTIFACTS = REPOSITORY / ".artifacts"
REQUIREMENTS = Path(__file__).parents[1] / "peers.txt"
CONSTRAINTS = REPOSITORY / "constraints.txt"


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """Where peers run."""

    python: Path
    failure: str | None
    """Why it could not be made."""

    @contextmanager
    def compete(
        self, kind: Kind, inputs: Sequence[Any], fp32: Callable[[Kind], Artifact]
    ) -> Iterator[tuple[list[Peer], list[Absence]]]:
        """All peers for a kind of input, loaded, and those that could not be.

        Args:
            kind: of input.
            inputs: texts, or the bytes of images.
            fp32: our artefact of a kind, whose weights the peers get.
        """
        names = [name for each, name in ADAPTERS if each == kind]
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            written = scratch / "inputs"
            written.write_bytes(pickle.dumps(list(inputs)))
            peers, absences = [], []
            for name in names:
                try:
                    if self.failure is not None:
                        raise PeerFailed(self.failure)
                    folder = peer_files(fp32(kind), ARTIFACTS / "bench-models")
                    peer = start_peer(self.python, kind, name, folder, written, scratch)
                    peers.append(stack.enter_context(peer))
                except (PeerFailed, EmbeddingError, ImportError) as error:
                    absences.append(Absence(f"{name} ({kind})", str(error)))
            yield peers, absences


def make_environment() -> PeerEnvironment:
    """The virtual environment of `peers.txt`, made where it is missing or out of date."""
    folder = ARTIFACTS / "bench-peers"
    python, marker = folder / "bin" / "python", folder / "installed.txt"
    wanted = f"Python {sys.version}\n{REQUIREMENTS.read_text()}{CONSTRAINTS.read_text()}"
    if marker.is_file() and marker.read_text() == wanted:
        return PeerEnvironment(python, None)
    venv.create(folder, clear=True, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    files = ["-c", str(CONSTRAINTS), "-r", str(REQUIREMENTS)]
    done = subprocess.run(install + files, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        return PeerEnvironment(python, f"cannot be installed: {lines[-1]}")
    marker.write_text(wanted)
    return PeerEnvironment(python, None)
