"""How each peer embeds JPEGs, set up as its own documentation recommends.

Runs in the peers' virtual environment; see `benchmarks.peers.texts`.
"""

import io
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.peers.adapter import Embed, Place, Vectors, in_batches
from benchmarks.peers.backends import openvino_graph, session_options, torch_dtype

BATCH = 16  # fastembed's default
OPENVINO_BATCH = 8
"""Of one of its requests: small enough for two at once in every turn of the suites."""


def fastembed(folder: Path, place: Place) -> Embed:
    """fastembed's own CLIP model with the plain fp32 export in the place of its download."""
    model = import_module("fastembed").ImageEmbedding(
        "Qdrant/clip-ViT-B-32-vision",
        specific_model_path=str(folder),
        threads=place.threads,
        providers=[place.provider],
    )
    return lambda images: np.stack(
        list(model.embed([_opened(image) for image in images], batch_size=BATCH))
    )


def transformers(folder: Path, place: Place) -> Embed:
    """transformers on PyTorch, its image processor included."""
    torch = import_module("torch")
    torch.set_num_threads(place.threads)
    processor = _processor(folder)
    library = import_module("transformers")
    network = library.CLIPVisionModelWithProjection.from_pretrained(
        folder, torch_dtype=torch_dtype(place)
    )
    model = network.eval().to(place.device)

    def embed(images: list[Any]) -> Vectors:
        with torch.inference_mode():
            pixels = processor([_opened(image) for image in images], return_tensors="pt")
            inputs = pixels.to(place.device, model.dtype)
            unit: Vectors = _unit(model(**inputs).image_embeds.float().cpu().numpy())
        return unit

    return in_batches(embed, BATCH)


def optimum(folder: Path, place: Place) -> Embed:
    """optimum's ORTModel on the plain fp32 export, as its optimiser knows no CLIP tower alone."""
    processor = _processor(folder)
    model = import_module("optimum.onnxruntime").ORTModelForCustomTasks.from_pretrained(
        folder,
        file_name="model.onnx",
        provider=place.provider,
        session_options=session_options(place.threads),
    )

    def embed(images: list[Any]) -> Vectors:
        return _unit(model(**_pixels(processor, images))["image_embeds"])

    return in_batches(embed, BATCH)


def openvino(folder: Path, place: Place) -> Embed:
    """OpenVINO's runtime with the plain fp32 export, after transformers' image processor."""
    processor = _processor(folder)

    def pixels(images: list[Any]) -> dict[str, Any]:
        return _pixels(processor, images)

    embed = openvino_graph(folder / "model.onnx", place, pixels, OPENVINO_BATCH)
    return lambda images: _unit(embed(images))


def faster_clip(folder: Path, place: Place) -> Embed:
    """faster-clip on the same checkpoint, whose weights it turns into int8 when it loads them."""
    os.environ["FASTER_CLIP_CACHE"] = str(folder / "faster-clip")
    os.environ["RAYON_NUM_THREADS"] = str(place.threads)
    model = import_module("faster_clip").ClipModel()
    return lambda images: _unit(np.array(model.encode_image(images), np.float32))


def _processor(folder: Path) -> Any:
    """transformers' fast one where torchvision is at hand, whose wheels on PyPI load beside CUDA's
    PyTorch alone."""
    library = import_module("transformers")
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError):  # missing, or linked to another PyTorch
        return library.CLIPImageProcessor.from_pretrained(folder)
    return library.CLIPImageProcessorFast.from_pretrained(folder)


def _pixels(processor: Any, images: list[Any]) -> dict[str, Any]:
    """NumPy's: the fast processor makes PyTorch's alone."""
    pixels = processor([_opened(image) for image in images], return_tensors="pt")
    return {name: tensor.numpy() for name, tensor in pixels.items()}


def _opened(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image))


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
