"""How each peer embeds instructions, set up as its own documentation recommends.

Runs in the peers' virtual environment. Peers are imported by name on use: none of them is
installed where this file is type-checked.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.adapter import Embed, Place, Vectors, in_batches
from benchmarks.peers.backends import openvino_graph, session_options, torch_dtype

DIMENSION = 384
MAX_TOKENS = 256
BATCH = 32  # sentence-transformers' default


def fastembed_own(folder: Path, place: Place) -> Embed:
    """fastembed's own all-MiniLM-L6-v2, with our plain export in the place of its download."""
    return _fastembed("sentence-transformers/all-MiniLM-L6-v2", folder, place)


def fastembed_fused(folder: Path, place: Place) -> Embed:
    """fastembed with our fused fp32 graph, which pools and normalises by itself."""
    description = import_module("fastembed.common.model_description")
    import_module("fastembed").TextEmbedding.add_custom_model(
        "local/all-MiniLM-L6-v2",
        pooling=description.PoolingType.DISABLED,
        normalization=False,
        sources=description.ModelSource(hf="local/all-MiniLM-L6-v2"),
        dim=DIMENSION,
        model_file="fused.onnx",
    )
    return _fastembed("local/all-MiniLM-L6-v2", folder, place)


def _fastembed(name: str, folder: Path, place: Place) -> Embed:
    model = import_module("fastembed").TextEmbedding(
        name,
        specific_model_path=str(folder),
        threads=place.threads,
        providers=[place.provider],
    )
    return lambda texts: np.stack(list(model.embed(texts)))


def sentence_transformers(folder: Path, place: Place) -> Embed:
    """sentence-transformers on PyTorch."""
    options = {"torch_dtype": torch_dtype(place)}
    return _sentence_transformers(folder, place, backend="torch", model_kwargs=options)


def sentence_transformers_onnx(folder: Path, place: Place) -> Embed:
    """sentence-transformers with its ONNX backend on the export that optimum optimised (O2)."""
    options = {
        "provider": place.provider,
        "file_name": "optimized.onnx",
        "session_options": session_options(place.threads),
    }
    return _sentence_transformers(folder, place, backend="onnx", model_kwargs=options)


def _sentence_transformers(
    folder: Path, place: Place, *, backend: str, model_kwargs: dict[str, Any]
) -> Embed:
    import_module("torch").set_num_threads(place.threads)
    library = import_module("sentence_transformers")
    parts = import_module("sentence_transformers.models")
    network = parts.Transformer(
        str(folder), max_seq_length=MAX_TOKENS, backend=backend, model_kwargs=model_kwargs
    )
    modules = [network, parts.Pooling(DIMENSION, "mean"), parts.Normalize()]
    model = library.SentenceTransformer(modules=modules, device=place.device)

    def embed(texts: list[Any]) -> Vectors:
        vectors: Vectors = model.encode(texts, show_progress_bar=False)
        return vectors

    return embed


def optimum(folder: Path, place: Place) -> Embed:
    """optimum's ORTModel on the export that it optimised (O2), after transformers' tokenizer."""
    model = import_module("optimum.onnxruntime").ORTModelForFeatureExtraction.from_pretrained(
        folder,
        file_name="optimized.onnx",
        provider=place.provider,
        session_options=session_options(place.threads),
    )
    return _pooled(model, folder, place)


def transformers(folder: Path, place: Place) -> Embed:
    """transformers on PyTorch, with the mean pooling of the model's card."""
    network = import_module("transformers").AutoModel.from_pretrained(
        folder, torch_dtype=torch_dtype(place)
    )
    return _pooled(network.eval().to(place.device), folder, place)


def _pooled(model: Any, folder: Path, place: Place) -> Embed:
    """After transformers' tokenizer, and before the mean over the tokens."""
    torch = import_module("torch")
    torch.set_num_threads(place.threads)
    tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(folder)

    def embed(texts: list[Any]) -> Vectors:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(place.device)
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            means = (hidden * mask).sum(1) / mask.sum(1)
            unit = torch.nn.functional.normalize(means.float(), dim=-1)
        vectors: Vectors = unit.cpu().numpy()
        return vectors

    return in_batches(embed, BATCH)


def openvino(folder: Path, place: Place) -> Embed:
    """OpenVINO's runtime with our fused fp32 graph and the model's tokenizer."""
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(MAX_TOKENS)

    def tokens(texts: list[Any]) -> dict[str, Any]:
        encodings = tokenizer.encode_batch(texts)
        return {
            "input_ids": np.array([encoding.ids for encoding in encodings]),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
        }

    return openvino_graph(folder / "fused.onnx", place, tokens, BATCH)
