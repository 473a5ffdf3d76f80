"""An export that fails a check writes nothing; one that is up to date is not repeated."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from vla_embeddings.errors import ExportError, MissingDependency, NotWritable, ParityError
from vla_embeddings.export import ensure_exported, exporter
from vla_embeddings.export.checkpoints import Source, find_source
from vla_embeddings.export.exporter import export_model
from vla_embeddings.export.references import Reference
from vla_embeddings.models import MINILM, Artifact, ArtifactStore


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_vectors_that_differ_from_pytorchs_leave_nothing_written(
    minilm: Reference, minilm_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drifted(texts: list[str]) -> torch.Tensor:
        vectors = minilm.embed(texts)
        return vectors + 0.001 * torch.ones_like(vectors).cumsum(1)

    monkeypatch.setattr(
        exporter, "load_reference", lambda model, source: replace(minilm, embed=drifted)
    )

    monkeypatch.setattr(exporter, "parity_samples", lambda model: ["pick up the cup", "go"])

    with pytest.raises(ParityError, match="all-MiniLM-L6-v2 fp32 differs"):
        export_model(MINILM, ["fp32"], minilm_source, ArtifactStore(tmp_path))

    assert _files(tmp_path) <= {".lock"}


def test_vectors_of_another_length_leave_nothing_written(
    minilm_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "parity_samples", lambda model: ["go"])
    assert minilm_source.folder is not None
    folder = tmp_path / "narrow"
    shutil.copytree(
        minilm_source.folder, folder, ignore=shutil.ignore_patterns("model.safetensors")
    )
    config = BertConfig(hidden_size=24, num_hidden_layers=1, intermediate_size=48)
    config.save_pretrained(folder)
    save_file(BertModel(config).state_dict(), folder / "model.safetensors")
    store = ArtifactStore(tmp_path / "models")

    with pytest.raises(ExportError, match="24 dimensions instead of 384"):
        ensure_exported(MINILM, ["fp32"], store, source=str(folder))

    assert not store.root.exists()


def test_a_folder_that_cannot_be_written_is_told_before_pytorch_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(exporter, "load_reference")
    (tmp_path / MINILM.name).write_text("not a folder")

    with pytest.raises(NotWritable, match=f"{tmp_path / MINILM.name} cannot be written"):
        ensure_exported(MINILM, ["fp32"], ArtifactStore(tmp_path))


def test_an_int8_artefact_says_how_it_was_quantised(
    models_dir: Path, int8_minilm: Artifact
) -> None:
    made = int8_minilm.manifest.quantization
    assert made is not None
    assert len(made.one_term) == 18
    assert len(made.two_terms) == 6
    assert ArtifactStore(models_dir).open(MINILM, "fp32").manifest.quantization is None


def test_what_is_up_to_date_is_left_alone(models_dir: Path) -> None:
    store = ArtifactStore(models_dir)
    made = store.open(MINILM, "fp32").graph.stat().st_mtime_ns

    exported = ensure_exported(MINILM, ["fp16", "fp32"], store)

    assert [(a.manifest.precision, status) for a, status in exported] == [
        ("fp16", "up to date"),
        ("fp32", "up to date"),
    ]
    assert store.open(MINILM, "fp32").graph.stat().st_mtime_ns == made


def test_minilms_artefact_bears_its_name_since_its_digest_is_the_pinned_one(
    models_dir: Path,
) -> None:
    manifest = ArtifactStore(models_dir).open(MINILM, "fp32").manifest

    assert manifest.pinned
    assert manifest.weights == "trained"
    assert manifest.source_sha256 == find_source(MINILM).sha256
    assert manifest.files.keys() == {
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "parity.npz",
    }


def test_without_pytorch_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vla_embeddings.export.exporter", None)

    with pytest.raises(MissingDependency, match=r"pip install 'vla-embeddings\[export,cpu\]'"):
        ensure_exported(MINILM, ["fp32"], ArtifactStore(tmp_path))
