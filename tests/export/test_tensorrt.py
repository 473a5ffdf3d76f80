"""TensorRT's graph: ONNX's own operators, fp16 where it is safe, and PyTorch's vectors."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from vla_embeddings.errors import ExportError
from vla_embeddings.export.graphs import export_graph
from vla_embeddings.export.tensorrt import SUMMING, write_tensorrt_graph
from vla_embeddings.export.towers import ClipImageTower, ClipTextTower
from vla_embeddings.models import CLIP_IMAGE, MINILM, Artifact, ArtifactStore

HALF, FULL = TensorProto.FLOAT16, TensorProto.FLOAT
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3}


@pytest.fixture(scope="module")
def artifact(models_dir: Path) -> Artifact:
    """MiniLM for TensorRT."""
    return ArtifactStore(models_dir).open(MINILM, "fp16-tensorrt")


@pytest.fixture(scope="module")
def graph(artifact: Artifact) -> onnx.ModelProto:
    """Its graph, with the type of every value."""
    return onnx.shape_inference.infer_shapes(onnx.load(artifact.graph), strict_mode=True)


@pytest.fixture(scope="module")
def types(graph: onnx.ModelProto) -> dict[str, int]:
    """The type of every value of the graph."""
    entries = [*graph.graph.value_info, *graph.graph.output, *graph.graph.input]
    constants = {entry.name: entry.data_type for entry in graph.graph.initializer}
    return constants | {entry.name: entry.type.tensor_type.elem_type for entry in entries}


@pytest.fixture(scope="module")
def small_clip() -> CLIPModel:
    """CLIP's architecture, three blocks deep."""
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**SMALL, "num_attention_heads": 2, "vocab_size": 100, "eos_token_id": 99},
        vision_config={**SMALL, "num_attention_heads": 2},
        projection_dim=16,
    )
    config._attn_implementation = "eager"
    return CLIPModel(config).eval()


def test_its_manifest_carries_the_proof_like_every_artefact(artifact: Artifact) -> None:
    manifest = artifact.manifest

    assert manifest.fused_ops == {}
    assert manifest.parity.min_cosine >= 0.99999  # measured 0.9999994
    artifact.verify()


def test_no_operator_is_onnxruntimes_own(graph: onnx.ModelProto) -> None:
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert [entry.domain for entry in graph.opset_import if entry.domain] == []


def test_products_are_in_fp16_and_sums_in_fp32(
    graph: onnx.ModelProto, types: dict[str, int]
) -> None:
    products = [node for node in graph.graph.node if node.op_type == "MatMul"]
    of = {node.op_type: set[int]() for node in graph.graph.node}
    for node in graph.graph.node:
        of[node.op_type] |= {types[name] for name in (*node.input, *node.output) if name}

    # The last one pools.
    assert {types[name] for node in products[:-1] for name in node.input} == {HALF}
    assert of["Erf"] == {HALF}
    for operator in (*SUMMING, "ReduceL2"):
        assert HALF not in of[operator]


def test_a_value_is_cast_once_for_all_its_readers(graph: onnx.ModelProto) -> None:
    casts = Counter(
        (node.input[0], node.attribute[0].i) for node in graph.graph.node if node.op_type == "Cast"
    )

    assert max(casts.values()) == 1


def test_weights_take_half_the_room(graph: onnx.ModelProto, models_dir: Path) -> None:
    full = onnx.load(ArtifactStore(models_dir).open(MINILM, "fp32").graph)

    assert graph.ByteSize() < 0.51 * full.ByteSize()


def test_a_fused_graph_is_refused(models_dir: Path, tmp_path: Path) -> None:
    fused = ArtifactStore(models_dir).open(MINILM, "fp32").graph

    with pytest.raises(ExportError, match="Attention"):
        write_tensorrt_graph(fused, tmp_path / "model.onnx")

    assert list(tmp_path.iterdir()) == []


def test_clips_unfused_text_tower_makes_its_own_causal_mask(small_clip: CLIPModel) -> None:
    ids = torch.tensor([[5, 6, 7, 99, 0, 0], [5, 6, 7, 8, 9, 99]])
    tower = ClipTextTower(small_clip).eval()
    tower.fusable = False

    with torch.inference_mode():
        expected = functional.normalize(small_clip.get_text_features(ids), dim=-1)
        vectors = tower(ids)

    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)


def test_clips_unfused_image_tower_changes_the_pixels_type_first(
    small_clip: CLIPModel, tmp_path: Path
) -> None:
    tower = ClipImageTower(small_clip, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]).eval()
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = tower(pixels)
        tower.fusable = False
        np.testing.assert_allclose(tower(pixels), expected, rtol=0, atol=1e-6)
    plain, written = tmp_path / "plain.onnx", tmp_path / "model.onnx"
    export_graph(tower, CLIP_IMAGE, plain, fusable=False)

    write_tensorrt_graph(plain, written)

    readers = [node for node in onnx.load(written).graph.node if "pixels" in node.input]
    assert [node.op_type for node in readers] == ["Cast"]
    assert readers[0].attribute[0].i == FULL  # pixels are normalised before they are rounded
