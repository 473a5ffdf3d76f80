"""The libraries that the models are measured against, in the order of the tables."""

from collections.abc import Mapping

from benchmarks.peers import images, texts
from benchmarks.peers.adapter import Adapter

ORT, TORCH = ("onnxruntime",), ("torch", "transformers")

ENCODERS: Mapping[tuple[str, str], Adapter] = {
    ("text", "transformers"): Adapter("transformers", texts.transformers, TORCH, half_on_gpu=True),
    ("text", "sentence-transformers"): Adapter(
        "sentence-transformers", texts.sentence_transformers, TORCH, half_on_gpu=True
    ),
    ("text", "sentence-transformers (ONNX)"): Adapter(
        "sentence-transformers", texts.sentence_transformers_onnx, ORT
    ),
    ("text", "fastembed"): Adapter("fastembed", texts.fastembed_own, ORT),
    ("text", "fastembed (our graph)"): Adapter("fastembed", texts.fastembed_fused, ORT),
    ("text", "optimum-onnx ORTModel"): Adapter("optimum-onnx", texts.optimum, ORT),
    ("text", "openvino (our graph)"): Adapter("openvino", texts.openvino, (), on_gpu=False),
    ("image", "transformers"): Adapter(
        "transformers", images.transformers, TORCH, half_on_gpu=True
    ),
    ("image", "fastembed"): Adapter("fastembed", images.fastembed, ORT),
    ("image", "optimum-onnx ORTModel"): Adapter("optimum-onnx", images.optimum, ORT),
    ("image", "openvino"): Adapter("openvino", images.openvino, (), on_gpu=False),
    ("image", "faster-clip"): Adapter("faster-clip", images.faster_clip, (), on_gpu=False),
}
"""By kind of input and name."""
