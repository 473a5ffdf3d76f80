"""ONNX Runtime: texts and images to vectors, without PyTorch."""

from vla_embeddings.runtime.batches import even_batches
from vla_embeddings.runtime.bulk import STEP_BACK
from vla_embeddings.runtime.decode import (
    ImageInput,
    check_header,
    check_kind,
    decode,
    is_in_memory,
    snapshot,
)
from vla_embeddings.runtime.encoders import (
    IMAGE_BATCH,
    ImageEncoder,
    TextEncoder,
    cache_fingerprint,
)
from vla_embeddings.runtime.lane import (
    Lane,
    LaneSettings,
    LoadedModel,
    image_lane,
    text_lane,
)
from vla_embeddings.runtime.pixels import preprocess
from vla_embeddings.runtime.pool import Pool
from vla_embeddings.runtime.providers import (
    CPU_CHOICE,
    ProviderChoice,
    choose_providers,
    onnxruntime,
)
from vla_embeddings.runtime.selection import select
from vla_embeddings.runtime.session import Session
from vla_embeddings.runtime.texts import MAX_CHARACTERS, check_text
from vla_embeddings.runtime.threads import available_cpus

__all__ = [
    "CPU_CHOICE",
    "IMAGE_BATCH",
    "MAX_CHARACTERS",
    "STEP_BACK",
    "ImageEncoder",
    "ImageInput",
    "Lane",
    "LaneSettings",
    "LoadedModel",
    "Pool",
    "ProviderChoice",
    "Session",
    "TextEncoder",
    "available_cpus",
    "cache_fingerprint",
    "check_header",
    "check_kind",
    "check_text",
    "choose_providers",
    "decode",
    "even_batches",
    "image_lane",
    "is_in_memory",
    "onnxruntime",
    "preprocess",
    "select",
    "snapshot",
    "text_lane",
]
