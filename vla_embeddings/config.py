"""Settings, read from `EMBEDDING_*` environment variables and checked once."""

import logging
import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from vla_embeddings.errors import ConfigurationError

logger = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
PrecisionSetting = Literal["auto", "fp32", "fp16", "int8"]

DEFAULT_REDIS_URL = "redis://localhost:6379"
MAX_CACHE_TTL = 10 * 365 * 24 * 3600
"""Seconds; ten years."""

_MAY_HOLD_PASSWORDS = frozenset({"redis_url", "database_url"})


def _default_models_dir() -> Path:
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return _expanded(Path(cache_home)) / "vla-embeddings" / "models"
    except ValueError as error:
        raise ConfigurationError(f"{error}: set EMBEDDING_MODELS_DIR to a full path") from None


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError:  # neither HOME nor the system's list of users tells
        raise ValueError(f"There is no home folder for {folder}") from None


class EmbeddingConfig(BaseSettings):
    """All settings; each field `x` is read from the variable `EMBEDDING_X`.

    `embedding_config` is the instance made from the environment. Build another one to pass
    settings in code: `EmbeddingService(config=EmbeddingConfig(device="cpu", precision="int8"))`.
    The cache and searches take theirs as arguments, and what they are not given from the
    environment: `EmbeddingCache(ttl=60)`.

    Raises:
        ConfigurationError: a value is unusable, or a setting unknown; the message names the
            variable or argument.
    """

    model_config = SettingsConfigDict(env_prefix="EMBEDDING_", frozen=True, extra="forbid")

    enable_embeddings: bool = True
    text_model_name: str = Field("sentence-transformers/all-MiniLM-L6-v2", min_length=1)
    """Hub id, its last part, or the folder of a local checkpoint."""
    image_model_name: str = Field("openai/clip-vit-base-patch32", min_length=1)
    """Hub id, its last part, or the folder of a local checkpoint."""
    device: Device = "auto"
    precision: PrecisionSetting = "auto"
    """`auto` is fp32 on a CPU and fp16 on a GPU, where `device="auto"` also takes fp32 if that is
    all that was exported; int8 is never chosen silently."""
    gpu_memory_limit_mb: int | None = Field(None, ge=256)
    """Most MiB of GPU memory that ONNX Runtime takes for each model on CUDA; None is no limit.
    TensorRT takes what its engine was built with."""
    nice: int = Field(0, ge=0, le=19)
    """Scheduling priority of the threads that embed: 0 as others, 19 after all others (Linux).
    Bulk work steps back five further."""
    threads: int | None = Field(None, ge=1, le=1024)
    """CPU threads of each model's requests, and as many of its bulk work; by default as many as
    the process may use, which is too many where several processes share a machine."""
    models_dir: Path = Field(default_factory=_default_models_dir)
    """Folder of the exported models."""
    redis_url: str = Field(DEFAULT_REDIS_URL, repr=False)
    cache_ttl: int = Field(300, ge=0, le=MAX_CACHE_TTL)
    """Seconds an embedding stays in the cache; 0 stores nothing."""
    cache_max_connections: int = Field(10, ge=1)
    database_url: str | None = Field(None, repr=False)
    """PostgreSQL address for the command line; library calls take the caller's own handle."""
    similarity_threshold: float = Field(0.7, ge=-1.0, le=1.0)
    similarity_top_k: int = Field(10, ge=1, le=10_000)
    use_hnsw_index: bool = True
    """HNSW, or IVFFlat where false, for what `vla-embeddings index create` and `backfill` make."""
    hnsw_m: int = Field(16, ge=2, le=100)
    hnsw_ef_construction: int = Field(64, ge=4, le=1000)

    def __init__(self, **values: Any) -> None:
        # pydantic's own error names the field, not the variable that a person has to mend.
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error, set(values))) from None

    def name_of_model(self, kind: str) -> str:
        """The model that embeds what is of this kind: `text`, `image` or `clip-text`."""
        return self.text_model_name if kind == "text" else self.image_model_name

    @field_validator("models_dir", mode="before")
    @classmethod
    def _folder(cls, folder: object) -> object:
        if folder == "":
            raise ValueError("Expected a folder")
        return _expanded(Path(folder)) if isinstance(folder, str | Path) else folder


def _explain(error: ValidationError, passed: set[str]) -> str:
    return "; ".join(_explain_fault(fault, passed) for fault in error.errors())


def _explain_fault(fault: ErrorDetails, passed: set[str]) -> str:
    field = str(fault["loc"][0]) if fault["loc"] else "settings"
    if fault["type"] == "extra_forbidden":  # whose value may be a password, too
        return f"There is no setting {field}; there are {', '.join(EmbeddingConfig.model_fields)}"
    name = field if field in passed else _variable(field)
    came = "…" if field in _MAY_HOLD_PASSWORDS else repr(fault["input"])
    return f"{name}={came}: {fault['msg']}"


def warn_of_misspelt(variables: Iterable[str]) -> None:
    """Tell of environment variables that look like a setting and are none.

    Others that begin with EMBEDDING_ are another program's business.
    """
    fields = list(EmbeddingConfig.model_fields)
    for variable in variables:
        prefix, _, name = variable.lower().partition("_")
        if prefix != "embedding" or name in fields:
            continue
        if alike := get_close_matches(name, fields, n=1, cutoff=0.8):
            meant = _variable(alike[0])
            logger.warning("%s is no setting, and ignored. Is %s meant?", variable, meant)


def _variable(field: str) -> str:
    return f"EMBEDDING_{field.upper()}"


embedding_config = EmbeddingConfig()
warn_of_misspelt(os.environ)
