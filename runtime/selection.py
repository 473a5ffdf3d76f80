"""Which artefact of a model is loaded, and what runs it."""

import logging
from collections.abc import Collection
from dataclasses import replace

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import (
    ArtifactDamaged,
    EmbeddingError,
    ModelNotFound,
    ProviderUnavailable,
)
from vla_embeddings.models import Artifact, ArtifactStore, Model, Precision
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
    model: Model,
    store: ArtifactStore,
    device: Device,
    precision: PrecisionSetting,
    failed: Collection[Device] = (),
) -> Selection:
    """The artefact to load and the providers to ask for.

    `auto` is TensorRT where an engine of this model was built on this very machine, else CUDA,
    else the CPU, which it is for int8 in any case. Where the precision is `auto`, too, CUDA runs
    fp32 where fp16 was not exported. What was passed over, and why, is logged.

    Args:
        model: what to run.
        store: where its artefacts are.
        device: the setting.
        precision: the setting.
        failed: devices that turned out not to work, which `auto` passes over.

    Raises:
        ModelNotFound: it was not exported in the precision.
        ArtifactDamaged: its manifest cannot be read.
        ConfigurationError: the device does not run the precision.
        ProviderUnavailable: the device cannot be had, or is TensorRT and has no engine.
        MissingDependency: ONNX Runtime is not installed.
    """
    if device == "auto":
        return _select_for_auto(model, store, precision, failed)
    choice = choose_providers(device)
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
    return Platform(
        onnxruntime=ort.__version__,
        tensorrt=version,
        driver=gpu.driver,
        cuda=".".join(map(str, gpu.cuda)),
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        multiprocessors=gpu.multiprocessors,
    )


def _select_for_auto(
    model: Model, store: ArtifactStore, precision: PrecisionSetting, failed: Collection[Device]
) -> Selection:
    on_cpu = precision == "int8" or "cuda" in failed
    choice = choose_providers("cpu" if on_cpu else "auto")
    wanted = choice.precision(precision)
    if choice.device == "cpu":
        return store.open(model, wanted), choice
    passed_over: list[EmbeddingError] = []
    if wanted == "fp16" and "tensorrt" not in failed:
        try:
            return _with_engine(model, store, choose_providers("tensorrt"))
        except (ProviderUnavailable, ModelNotFound, ArtifactDamaged) as error:
            passed_over.append(error)
    missing: list[ModelNotFound] = []
    precisions: list[Precision] = ["fp16", "fp32"] if precision == "auto" else [wanted]
    for each in precisions:
        try:
            artifact = store.open(model, each)
        except ModelNotFound as error:
            missing.append(error)
            continue
        reasons = " ".join(map(str, (*passed_over, *missing)))
        logger.info("%s: %s in %s. %s", model.name, choice.device, each, reasons)
        return artifact, choice
    raise missing[0]


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
