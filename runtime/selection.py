"""Which artefact of a model is loaded, and what runs it."""

import logging
from dataclasses import replace

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import ArtifactDamaged, ModelNotFound, ProviderUnavailable
from vla_embeddings.models import Artifact, ArtifactStore, Model
from vla_embeddings.runtime.diagnosis import Fault, unavailable
from vla_embeddings.runtime.engines import Platform, find_engine
from vla_embeddings.runtime.gpu import find_gpu
from vla_embeddings.runtime.libraries import load_libraries, missing_library, tensorrt_version
from vla_embeddings.runtime.providers import (
    TENSORRT,
    ProviderChoice,
    choose_providers,
    onnxruntime,
)

logger = logging.getLogger(__name__)

Selection = tuple[Artifact, ProviderChoice]


def select(
    model: Model, store: ArtifactStore, device: Device, precision: PrecisionSetting
) -> Selection:
    """The artefact to load and the providers to ask for.

    `auto` is TensorRT where an engine of this model was built on this very machine, else CUDA,
    else the CPU.

    Raises:
        ModelNotFound: it was not exported in the precision.
        ArtifactDamaged: its manifest cannot be read.
        ConfigurationError: the device does not run the precision.
        ProviderUnavailable: the device cannot be had, or is TensorRT and has no engine.
        MissingDependency: ONNX Runtime is not installed.
    """
    choice = choose_providers(device)
    if device == "auto" and choice.device == "cuda" and precision in ("auto", "fp16"):
        try:
            return _with_engine(model, store, choose_providers("tensorrt"))
        except (ProviderUnavailable, ModelNotFound, ArtifactDamaged) as error:
            logger.debug("%s: CUDA, not TensorRT: %s", model.name, error)
    wanted = choice.precision(precision)
    if choice.device == "tensorrt":
        return _with_engine(model, store, choice)
    return store.open(model, wanted), choice


def this_platform() -> Platform:
    """What this machine's engines depend on.

    Raises:
        ProviderUnavailable: TensorRT or the GPU cannot be had.
    """
    ort, gpu = onnxruntime(), find_gpu()
    load_libraries(ort)
    version = tensorrt_version()
    if gpu is None or version is None:
        raise unavailable(
            "tensorrt",
            Fault(
                f"TensorRT cannot be loaded: {missing_library(ort, TENSORRT)}",
                "Install it: pip install 'vla-embeddings[tensorrt]'",
            ),
        )
    return Platform(ort.__version__, version, gpu.driver, gpu.name, gpu.compute_capability)


def _with_engine(model: Model, store: ArtifactStore, choice: ProviderChoice) -> Selection:
    artifact = store.open(model, "fp16-tensorrt")
    engine = find_engine(artifact, this_platform())
    if engine is None:
        raise unavailable(
            "tensorrt",
            Fault(
                f"{model.name} has no engine for this GPU, driver, TensorRT and ONNX Runtime, and "
                "none is built inside a request",
                f"Build it: {artifact.remedy}",
            ),
        )
    return artifact, replace(choice, engine=engine)
