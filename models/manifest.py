"""What an artefact says of itself: origin, contents and proof."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from vla_embeddings.models.registry import Kind, Precision

FORMAT: Literal[1] = 1

GRAPH = "model.onnx"
WEIGHTS = f"{GRAPH}.data"
"""Those of the graph that a session does not keep as they are, where it is for CPUs."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and digest of one file of an artefact."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's unit vectors are from its PyTorch model's, over `samples` inputs.

    They are generated instructions or drawn scenes, and unusual ones of each; see
    `vla_embeddings.export.samples`.
    """

    samples: int
    max_abs_delta: float
    min_cosine: float


@dataclass(frozen=True, slots=True)
class Quantization:
    """How an int8 graph computes its products by constant matrices, by the names they had."""

    one_term: list[str]
    """In 8 bits."""
    two_terms: list[str]
    """Likewise, with an activation that is the sum of two 8-bit terms."""
    fp32: list[str]
    """Left as they were."""
    alpha: float
    """SmoothQuant's share of the activations' spread that the weights took over."""
    two_terms_alpha: float
    """Likewise of those in two terms."""


UNPROVEN = Parity(samples=0, max_abs_delta=float("inf"), min_cosine=0.0)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of `manifest.json`."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # of the records inside, too

    model: str
    kind: Kind
    precision: Precision
    dimension: int
    max_tokens: int | None
    weights: Literal["trained", "untrained"]
    source: str
    """Where the weights came from: hub id and revision, package and version, or folder."""
    source_sha256: str
    """Digest of the weights, config and tokenizer there."""
    pinned: bool
    """Whether the weights have the digest of the model's own published ones."""
    opset: int
    fused_ops: Mapping[str, int]
    """Count of each of ONNX Runtime's fused operators in the graph."""
    parity: Parity
    files: Mapping[str, FileRecord]
    tools: Mapping[str, str]
    """Versions of the packages that made the graph."""
    exporter: str
    """Digest of the export code; another one means the graph may be made differently now."""
    quantization: Quantization | None = None
    """None but in int8."""
    format: Literal[1] = FORMAT

    @property
    def fingerprint(self) -> str:
        """Identifies the vectors: equal fingerprints mean comparable, interchangeable vectors.

        In fp32 and fp16 every graph of a checkpoint computes them alike, within the bounds of the
        parity proof; in int8 they depend on how the graph was quantised, so its digest counts too.
        """
        source = f"{self.model}/{self.precision}/{self.source_sha256[:16]}"
        if self.precision != "int8":
            return source
        return f"{source}/{self.graph_sha256[:16]}"

    @property
    def graph_sha256(self) -> str:
        """Digest of the graph with all its weights."""
        digests = [self.files[name].sha256 for name in (GRAPH, WEIGHTS) if name in self.files]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> "Manifest":
        """Read `manifest.json`.

        Raises:
            ValueError: not JSON, of another format, or with fields missing, unknown or of another
                type; the message names the first ones.
        """
        try:
            return _reader().validate_json(text)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
            ]
            raise ValueError("; ".join(faults[:3])) from None


@cache
def _reader() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)
