"""The libraries that the models are measured against, in the order of the tables."""

from collections.abc import Mapping

from benchmarks.peers import images, texts
from benchmarks.peers.adapter import Adapter

ENCODERS: Mapping[tuple[str, str], Adapter] = {
    ("text", "sentence-transformers"): Adapter(
        "sentence-transformers", texts.sentence_transformers
    ),
    ("text", "sentence-transformers (ONNX)"): Adapter(
        "sentence-transformers", texts.sentence_transformers_onnx
    ),
    ("text", "fastembed"): Adapter("fastembed", texts.fastembed_own),
    ("text", "fastembed (our graph)"): Adapter("fastembed", texts.fastembed_fused),
    ("text", "optimum ORTModel"): Adapter("optimum-onnx", texts.optimum),
    ("text", "openvino"): Adapter("openvino", texts.openvino, on_gpu=False),
    ("image", "transformers"): Adapter("transformers", images.transformers),
    ("image", "fastembed"): Adapter("fastembed", images.fastembed),
    ("image", "optimum ORTModel"): Adapter("optimum-onnx", images.optimum),
    ("image", "openvino"): Adapter("openvino", images.openvino, on_gpu=False),
    ("image", "faster-clip"): Adapter("faster-clip", images.faster_clip, on_gpu=False),
}
"""By kind of input and name."""
