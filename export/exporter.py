"""The whole export of one model: checkpoint, graph, precisions, proof, artefact."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import ExportError
from vla_embeddings.export.checkpoints import Source
from vla_embeddings.export.ensure import Progress
from vla_embeddings.export.graphs import OPSET, export_graph, fuse_graph
from vla_embeddings.export.parity import Inputs, encode, measure, require, save_samples
from vla_embeddings.export.precisions import count_operators, write_precision
from vla_embeddings.export.provenance import exporter_digest, tool_versions
from vla_embeddings.export.quantization import INT8_OPERATORS, RECIPES
from vla_embeddings.export.quantized import read_quantization
from vla_embeddings.export.references import Reference, load_reference
from vla_embeddings.export.samples import graph_inputs, parity_samples
from vla_embeddings.models import (
    Artifact,
    ArtifactStore,
    Manifest,
    Model,
    Precision,
    Quantization,
)
from vla_embeddings.models.manifest import UNPROVEN
from vla_embeddings.models.store import MANIFEST, PARITY, TOKENIZER, record_files


def export_model(
    model: Model,
    precisions: Sequence[Precision],
    source: Source,
    store: ArtifactStore,
    *,
    progress: Progress = lambda step: None,
) -> list[Artifact]:
    """Export one model in some precisions.

    Nothing of a precision is written unless its graph has the architecture's fused operators and
    computes the PyTorch model's vectors.

    Raises:
        ExportError: a check failed; ParityError where it was the vectors.
        NotWritable: the store's folder cannot be written, or its disk is full.
    """
    progress("loading the PyTorch model")
    reference = load_reference(model, source)
    samples = parity_samples(model)
    progress(f"computing {len(samples)} vectors in PyTorch")
    expected = reference.vectors(samples)
    if expected.shape[1] != model.dimension:
        raise ExportError(
            f"{source.label} is not a checkpoint of {model.name}: its vectors have "
            f"{expected.shape[1]} dimensions instead of {model.dimension}."
        )
    inputs = graph_inputs(samples)
    with tempfile.TemporaryDirectory(prefix="vla-export-") as scratch:
        artifacts = []
        for fusable, group in _by_tracing(precisions):
            traced, fused_ops = _trace(reference, model, Path(scratch), progress, fusable=fusable)
            for precision in group:
                progress(f"writing and proving {precision}")
                draft = _draft(model, precision, source, fused_ops)
                artifacts.append(
                    _publish(store, model, draft, traced, reference, inputs, expected)
                )
    return artifacts


def _by_tracing(precisions: Sequence[Precision]) -> Iterator[tuple[bool, list[Precision]]]:
    """Those from a fused graph, then TensorRT's, each where there are any."""
    for fusable in (True, False):
        group: list[Precision] = [
            each for each in precisions if (each != "fp16-tensorrt") == fusable
        ]
        if group:
            yield fusable, group


def _trace(
    reference: Reference, model: Model, folder: Path, progress: Progress, *, fusable: bool
) -> tuple[Path, Mapping[str, int]]:
    """The graph in fp32, and the count of each fused operator."""
    plain, fused = folder / "plain.onnx", folder / "fused.onnx"
    progress("tracing the graph")
    export_graph(reference.tower, model, plain, fusable=fusable)
    if not fusable:
        return plain, {}
    progress("fusing operators")
    return fused, fuse_graph(plain, model, fused)


def _publish(
    store: ArtifactStore,
    model: Model,
    draft: Manifest,
    traced: Path,
    reference: Reference,
    inputs: Inputs,
    expected: NDArray[np.float32],
) -> Artifact:
    with store.staging(model, draft.precision) as folder:
        if reference.tokenizer is not None:
            # Its own `save` raises no OSError where the disk is full.
            (folder / TOKENIZER).write_text(reference.tokenizer.to_str(pretty=True), "utf-8")
        artifact = Artifact(folder, draft, "")
        write_precision(traced, artifact)
        fused_ops = count_operators(artifact.graph, {*draft.fused_ops, *INT8_OPERATORS})
        save_samples(folder / PARITY, inputs, expected)
        draft = replace(
            draft,
            fused_ops=fused_ops,
            files=record_files(folder),
            quantization=_quantization(artifact),
        )
        parity = measure(encode(Artifact(folder, draft, ""), inputs), expected)
        require(parity, draft)
        (folder / MANIFEST).write_text(replace(draft, parity=parity).to_json())
    return store.open(model, draft.precision)


def _quantization(artifact: Artifact) -> Quantization | None:
    manifest = artifact.manifest
    if manifest.precision != "int8":
        return None
    return read_quantization(artifact.graph, RECIPES[manifest.kind])


def _draft(
    model: Model, precision: Precision, source: Source, fused_ops: Mapping[str, int]
) -> Manifest:
    return Manifest(
        model=model.name,
        kind=model.kind,
        precision=precision,
        dimension=model.dimension,
        max_tokens=model.max_tokens,
        weights="untrained" if source.weights is None else "trained",
        source=source.label,
        source_sha256=source.sha256,
        pinned=source.pinned,
        opset=OPSET,
        fused_ops=fused_ops,
        parity=UNPROVEN,
        files={},
        tools=tool_versions(),
        exporter=exporter_digest(),
    )
