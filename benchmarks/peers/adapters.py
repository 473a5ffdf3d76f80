"""How each peer embeds a list of inputs, set up as its own documentation recommends.

Runs in the peers' virtual environment. Peers are imported by name on use: none of them is
installed where this file is type-checked.
"""

import io
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Vectors = NDArray[np.float32]
Embed = Callable[[list[Any]], Vectors]
"""Texts, or the bytes of JPEGs, to unit vectors (n, dimension) float32."""

IMAGE_BATCH = 16  # fastembed's default


def fastembed_text(folder: Path, threads: int) -> Embed:
    """fastembed with our fused fp32 graph, which pools and normalises by itself."""
    description = import_module("fastembed.common.model_description")
    text_embedding = import_module("fastembed").TextEmbedding
    text_embedding.add_custom_model(
        "local/all-MiniLM-L6-v2",
        pooling=description.PoolingType.DISABLED,
        normalization=False,
        sources=description.ModelSource(hf="local/all-MiniLM-L6-v2"),
        dim=384,
        model_file="fused.onnx",
    )
    model = text_embedding(
        "local/all-MiniLM-L6-v2", specific_model_path=str(folder), threads=threads
    )
    return lambda texts: np.stack(list(model.embed(texts)))


def sentence_transformers_text(folder: Path, threads: int) -> Embed:
    """sentence-transformers on PyTorch."""
    import_module("torch").set_num_threads(threads)
    library = import_module("sentence_transformers")
    parts = import_module("sentence_transformers.models")
    network = parts.Transformer(str(folder), max_seq_length=256)
    modules = [network, parts.Pooling(384, "mean"), parts.Normalize()]
    model = library.SentenceTransformer(modules=modules, device="cpu")

    def embed(texts: list[Any]) -> Vectors:
        vectors: Vectors = model.encode(texts, show_progress_bar=False)
        return vectors

    return embed


def openvino_text(folder: Path, threads: int) -> Embed:
    """OpenVINO's runtime with our fused fp32 graph and the model's tokenizer; batches of 32."""
    run = _openvino(folder / "fused.onnx", threads)
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()

    def embed(texts: list[Any]) -> Vectors:
        batches = [texts[start : start + 32] for start in range(0, len(texts), 32)]
        return np.concatenate([one_batch(batch) for batch in batches])

    def one_batch(texts: list[Any]) -> Vectors:
        encodings = tokenizer.encode_batch(texts)
        return run(
            {
                "input_ids": np.array([encoding.ids for encoding in encodings]),
                "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
            }
        )

    return embed


def fastembed_image(folder: Path, threads: int) -> Embed:
    """fastembed's own CLIP model with the plain fp32 export in the place of its download."""
    model = import_module("fastembed").ImageEmbedding(
        "Qdrant/clip-ViT-B-32-vision", specific_model_path=str(folder), threads=threads
    )
    return lambda images: np.stack(
        list(model.embed([_opened(image) for image in images], batch_size=IMAGE_BATCH))
    )


def transformers_image(folder: Path, threads: int) -> Embed:
    """transformers on PyTorch, its image processor included."""
    torch = import_module("torch")
    torch.set_num_threads(threads)
    processor = _processor(folder)
    library = import_module("transformers")
    model = library.CLIPVisionModelWithProjection.from_pretrained(folder).eval()

    def embed(images: list[Any]) -> Vectors:
        with torch.inference_mode():
            outputs = [
                model(**processor(batch, return_tensors="pt")) for batch in _batches(images)
            ]
            vectors = torch.cat([output.image_embeds for output in outputs])
            unit: Vectors = torch.nn.functional.normalize(vectors, dim=-1).numpy()
        return unit

    return embed


def openvino_image(folder: Path, threads: int) -> Embed:
    """OpenVINO's runtime with the plain fp32 export, after transformers' image processor."""
    run = _openvino(folder / "model.onnx", threads)
    processor = _processor(folder)

    def embed(images: list[Any]) -> Vectors:
        vectors = np.concatenate(
            [run(dict(processor(batch, return_tensors="np"))) for batch in _batches(images)]
        )
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    return embed


def _openvino(graph: Path, threads: int) -> Callable[[Mapping[str, NDArray[Any]]], Vectors]:
    model = import_module("openvino").compile_model(
        graph,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # It would choose bfloat16 by itself where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return lambda inputs: np.array(model(inputs)[0])


def _processor(folder: Path) -> Any:
    return import_module("transformers").CLIPImageProcessor.from_pretrained(folder)


def _batches(images: list[Any]) -> list[list[Image.Image]]:
    return [
        [_opened(image) for image in images[start : start + IMAGE_BATCH]]
        for start in range(0, len(images), IMAGE_BATCH)
    ]


def _opened(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image))


ADAPTERS: Mapping[tuple[str, str], Callable[[Path, int], Embed]] = {
    ("text", "sentence-transformers"): sentence_transformers_text,
    ("text", "fastembed"): fastembed_text,
    ("text", "openvino"): openvino_text,
    ("image", "transformers"): transformers_image,
    ("image", "fastembed"): fastembed_image,
    ("image", "openvino"): openvino_image,
}
"""By kind of input and name of the package."""
