"""The folder of exported models: `<root>/<model>/<precision>/`."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vla_embeddings.errors import ArtifactDamaged, ModelNotFound
from vla_embeddings.models.manifest import GRAPH, FileRecord, Manifest
from vla_embeddings.models.registry import Model, Precision
from vla_embeddings.models.writing import alone_in, require_writable, stage_in

__all__ = [
    "GRAPH",
    "MANIFEST",
    "PARITY",
    "TOKENIZER",
    "Artifact",
    "ArtifactStore",
    "record_files",
    "sha256_of",
]

TOKENIZER = "tokenizer.json"
PARITY = "parity.npz"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One exported model on disk: graph, tokenizer (texts), parity samples and manifest."""

    folder: Path
    manifest: Manifest
    remedy: str
    """The command that makes this artefact anew."""

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER

    @property
    def parity(self) -> Path:
        return self.folder / PARITY

    def inodes(self) -> Mapping[str, tuple[int, int, int] | None]:
        """Which file each one is: device, inode and time of change in ns; None where it is not.

        An export puts other files in their place.
        """
        found = dict[str, tuple[int, int, int] | None]()
        for name in self.manifest.files:
            try:
                stat = (self.folder / name).stat()
            except OSError:
                found[name] = None
            else:
                found[name] = stat.st_dev, stat.st_ino, stat.st_mtime_ns
        return found

    def verify(self) -> None:
        """Compare every file with the manifest.

        Raises:
            ArtifactDamaged: a file is missing, unreadable, of another size, or of another digest.
        """
        for name, expected in self.manifest.files.items():
            try:
                self._verify(name, expected)
            except OSError as error:
                raise ArtifactDamaged(
                    f"{self.folder / name} cannot be read by uid {os.geteuid()}: {error}. Give "
                    f"read permission, or make it anew: {self.remedy}"
                ) from error

    def _verify(self, name: str, expected: FileRecord) -> None:
        path = self.folder / name
        if not path.is_file():
            raise self._damaged(f"{name} is missing")
        size = path.stat().st_size
        if size != expected.bytes:
            raise self._damaged(f"{name} has {size:,} bytes instead of {expected.bytes:,}")
        if sha256_of(path) != expected.sha256:
            raise self._damaged(f"{name} has another SHA-256 than {MANIFEST} says")

    def _damaged(self, what: str) -> ArtifactDamaged:
        return ArtifactDamaged(f"{self.folder}: {what}. Make it anew: {self.remedy}")


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """All artefacts below one folder."""

    root: Path

    def open(self, model: Model, precision: Precision) -> Artifact:
        """The artefact of a model, its manifest read, its other files not yet.

        Raises:
            ModelNotFound: it was not exported, or from another checkpoint of that name.
            ArtifactDamaged: its manifest cannot be read or is of something else.
        """
        folder = self.root / model.name / precision
        remedy = model.command(precision=precision)
        try:
            manifest = Manifest.from_json((folder / MANIFEST).read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise ModelNotFound(
                f"No {precision} artefact of {model.name} in {self.root} "
                f"(EMBEDDING_MODELS_DIR). Make it: {remedy}"
            ) from None
        except (ValueError, OSError) as error:
            raise ArtifactDamaged(
                f"{folder / MANIFEST} cannot be read: {error}. Make it anew: {remedy}"
            ) from error
        if (manifest.kind, manifest.precision) != (model.kind, precision):
            raise ArtifactDamaged(
                f"{folder} holds {manifest.kind} {manifest.precision} instead of "
                f"{model.kind} {precision}. Make it anew: {remedy}"
            )
        checkpoint, trained = model.local_checkpoint, manifest.weights == "trained"
        if checkpoint and trained and manifest.source != str(checkpoint.resolve()):
            raise ModelNotFound(
                f"{folder} was made from {manifest.source} instead of {checkpoint.resolve()}, "
                f"which has the same name. Make it from there: {remedy}"
            )
        return Artifact(folder, manifest, remedy)

    def require_writable(self, model: Model) -> None:
        """Try whether artefacts of a model can be written, before the work of making them.

        Raises:
            NotWritable: they cannot.
        """
        require_writable(self.root / model.name)

    @contextmanager
    def staging(self, model: Model, precision: Precision) -> Iterator[Path]:
        """A new folder that becomes the artefact when the block ends without an error.

        The block writes every file, the manifest too. A reader sees the old artefact or the new
        one, or, between the two renames that swap them, none; never a mixture. A crash leaves at
        most a folder that the next export removes.

        Raises:
            NotWritable: the disk is full or refuses.
        """
        parent = self.root / model.name
        with alone_in(parent), stage_in(parent) as stage:
            yield stage
            _publish(stage, parent / precision)


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Size and digest of every file in a folder, for its manifest."""
    return {
        path.name: FileRecord(path.stat().st_size, sha256_of(path))
        for path in sorted(folder.iterdir())
    }


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's contents, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(stage: Path, destination: Path) -> None:
    for path in stage.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    stage.chmod(0o755)
    if destination.exists():
        # A folder that is not empty cannot be replaced in one step; the old one moves aside
        # under a name that the next export cleans up.
        destination.rename(stage.with_name(f"{stage.name}-old"))
    stage.rename(destination)
    shutil.rmtree(stage.with_name(f"{stage.name}-old"), ignore_errors=True)
