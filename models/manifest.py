"""What an artefact says of itself: origin, contents and proof."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from vla_embeddings.models.registry import Kind, Precision

FORMAT = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and digest of one file of an artefact."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's unit vectors are from its PyTorch model's, over `samples` real inputs."""

    samples: int
    max_abs_delta: float
    min_cosine: float


UNPROVEN = Parity(samples=0, max_abs_delta=float("inf"), min_cosine=0.0)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of `manifest.json`."""

    model: str
    kind: Kind
    precision: Precision
    dimension: int
    max_tokens: int | None
    weights: Literal["trained", "untrained"]
    source: str
    """Where the weights came from: hub id and revision, package and version, or folder."""
    source_sha256: str
    pinned: bool
    """Whether `source_sha256` is the digest of the model's own published weights."""
    opset: int
    fused_ops: Mapping[str, int]
    """Count of each of ONNX Runtime's fused operators in the graph."""
    parity: Parity
    files: Mapping[str, FileRecord]
    tools: Mapping[str, str]
    """Versions of the packages that made the graph."""
    exporter: str
    """Digest of the export code; another one means the graph may be made differently now."""
    format: int = FORMAT

    @property
    def fingerprint(self) -> str:
        """Identifies the vectors: equal fingerprints mean comparable, interchangeable vectors."""
        return f"{self.model}/{self.precision}/{self.source_sha256[:16]}"

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read `manifest.json`.

        Raises:
            ValueError: not JSON, of another format, or with fields missing or unknown.
        """
        fields: dict[str, Any] = json.loads(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise ValueError(f'expected an object with "format": {FORMAT}')
        try:
            files = {name: FileRecord(**record) for name, record in fields.pop("files").items()}
            return cls(**fields | {"parity": Parity(**fields["parity"]), "files": files})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"fields missing or unknown ({error})") from None
