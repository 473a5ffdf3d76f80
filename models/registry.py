"""The models this library serves: one frozen row each."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vla_embeddings.errors import ModelNotFound

Kind = Literal["text", "image", "clip-text"]
Precision = Literal["fp32", "fp16", "int8", "fp16-tensorrt"]

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
"""Those that ONNX Runtime runs by itself; `fp16-tensorrt` is for TensorRT to compile."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """PyTorch weights at one revision of one hub repository."""

    hub_id: str
    revision: str
    weights_file: str
    weights_sha256: str
    """Digest of `weights_file`; only a checkpoint with this digest may bear the model's name."""
    other_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """One encoder: a checkpoint, or one tower of it."""

    name: str
    kind: Kind
    checkpoint: Checkpoint
    dimension: int
    max_tokens: int | None
    """Longest input in tokens, special tokens included; None for images."""
    local_checkpoint: Path | None = None
    """The user's own weights for this architecture, instead of the hub's."""

    def command(self, verb: str = "export", precision: Precision | None = None) -> str:
        """The command line that makes this model's artefact, for error messages."""
        words = ["vla-embeddings", verb, "--model", self.kind]
        if precision == "fp16-tensorrt":
            return " ".join([*words, "--tensorrt"])
        return " ".join([*words, "--precision", precision] if precision else words)


_MINILM_CHECKPOINT = Checkpoint(
    hub_id="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    weights_file="model.safetensors",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    other_files=("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"),
)
_CLIP_CHECKPOINT = Checkpoint(
    hub_id="openai/clip-vit-base-patch32",
    revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    weights_file="pytorch_model.bin",
    weights_sha256="a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
    other_files=(
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
    ),
)

# 256 is sentence_bert_config.json's max_seq_length; its tokenizer.json says 128, which
# sentence-transformers overrides. 77 is CLIP's context length (arXiv 2103.00020, section 2.4).
MINILM = Model("all-MiniLM-L6-v2", "text", _MINILM_CHECKPOINT, dimension=384, max_tokens=256)
CLIP_IMAGE = Model(
    "clip-vit-base-patch32", "image", _CLIP_CHECKPOINT, dimension=512, max_tokens=None
)
CLIP_TEXT = Model(
    "clip-vit-base-patch32-text", "clip-text", _CLIP_CHECKPOINT, dimension=512, max_tokens=77
)
MODELS = (MINILM, CLIP_IMAGE, CLIP_TEXT)


def find_model(name: str, kind: Kind) -> Model:
    """The row of a model.

    Args:
        name: the model's name, its hub id, or the folder of a local checkpoint of the same
            architecture, whose artefacts then bear the folder's name.
        kind: what it must embed.

    Raises:
        ModelNotFound: no such model, or no such folder.
    """
    row = next(model for model in MODELS if model.kind == kind)
    if name in (row.name, row.checkpoint.hub_id, row.checkpoint.hub_id.rpartition("/")[2]):
        return row
    folder = Path(os.path.expanduser(name))  # Path's own fails for unknown users
    if folder.is_dir():
        suffix = "-text" if kind == "clip-text" else ""
        return replace(row, name=folder.resolve().name + suffix, local_checkpoint=folder)
    raise ModelNotFound(
        f"No {kind} model {name!r}: expected {row.name!r}, {row.checkpoint.hub_id!r} or the "
        "folder of a local checkpoint of that architecture."
    )
