"""The graphs have their architecture's fused operators, or there is no export."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from vla_embeddings.errors import ExportError
from vla_embeddings.export import graphs
from vla_embeddings.models import (
    CLIP_IMAGE,
    CLIP_TEXT,
    MINILM,
    MODELS,
    Artifact,
    ArtifactStore,
    Model,
    Precision,
)

FUSED: Mapping[str, Mapping[str, int]] = {
    "text": {"Attention": 6, "BiasGelu": 6},
    "image": {"Attention": 11, "QuickGelu": 12},
    "clip-text": {"Attention": 11, "QuickGelu": 12},
}
LAYER_NORMS: Mapping[str, int] = {"text": 13, "image": 26, "clip-text": 25}
EXPORTS: list[tuple[Model, Precision]] = [
    (MINILM, "fp32"),
    (MINILM, "fp16"),
    (CLIP_IMAGE, "fp32"),
    (CLIP_TEXT, "fp32"),
]


def _graph(artifact: Artifact) -> onnx.ModelProto:
    return onnx.load(artifact.graph)


@pytest.mark.parametrize(("model", "precision"), EXPORTS, ids=lambda value: str(value)[:20])
def test_every_block_is_fused_as_the_manifest_says(
    models_dir: Path, model: Model, precision: Precision
) -> None:
    artifact = ArtifactStore(models_dir).open(model, precision)

    counts = Counter(node.op_type for node in _graph(artifact).graph.node)

    fused = FUSED[model.kind]
    assert {name: counts[name] for name in fused} == fused
    assert {name: artifact.manifest.fused_ops[name] for name in fused} == fused


@pytest.mark.parametrize(("model", "precision"), EXPORTS, ids=lambda value: str(value)[:20])
def test_additions_are_fused_into_layer_norms_for_gpus_alone(
    models_dir: Path, model: Model, precision: Precision
) -> None:
    counts = ArtifactStore(models_dir).open(model, precision).manifest.fused_ops

    fused = counts.get("SkipLayerNormalization", 0)
    assert fused == (LAYER_NORMS[model.kind] - 1 if precision == "fp16" else 0)
    assert fused + counts["LayerNormalization"] == LAYER_NORMS[model.kind]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_inputs_are_raw_and_the_output_is_one_float32_vector_each(
    models_dir: Path, model: Model
) -> None:
    graph = _graph(ArtifactStore(models_dir).open(model, "fp32")).graph

    types = {entry.name: entry.type.tensor_type.elem_type for entry in graph.input}
    int64, uint8 = onnx.TensorProto.INT64, onnx.TensorProto.UINT8
    assert (
        types
        == {
            "text": {"input_ids": int64, "attention_mask": int64},
            "image": {"pixels": uint8},
            "clip-text": {"input_ids": int64},
        }[model.kind]
    )
    [output] = graph.output
    assert output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize(("model", "causal"), [(MINILM, False), (CLIP_TEXT, True)])
def test_only_clips_text_attends_to_the_past_alone(
    models_dir: Path, model: Model, causal: bool
) -> None:
    graph = _graph(ArtifactStore(models_dir).open(model, "fp32")).graph

    flags = {
        bool(attribute.i)
        for node in graph.node
        if node.op_type == "Attention"
        for attribute in node.attribute
        if attribute.name == "unidirectional"
    }

    assert (True in flags) is causal


def test_a_fusion_that_does_not_match_fails_the_export(
    plain_minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(graphs.ARCHITECTURES["text"], optimizer="clip")
    monkeypatch.setattr(graphs, "ARCHITECTURES", {"text": wrong})

    with pytest.raises(ExportError, match=r"expected .*'Attention': 6.*got .*'Attention': 0"):
        graphs.fuse_graph(plain_minilm, MINILM, tmp_path / "fused.onnx")

    assert list(tmp_path.iterdir()) == []
