"""Small artefacts that need no model."""

from dataclasses import replace
from pathlib import Path

from vla_embeddings.models import MINILM, Manifest, Parity
from vla_embeddings.models.store import GRAPH, MANIFEST, TOKENIZER, record_files

MANIFEST_OF_NOTHING = Manifest(
    model=MINILM.name,
    kind=MINILM.kind,
    precision="fp32",
    dimension=MINILM.dimension,
    max_tokens=MINILM.max_tokens,
    weights="trained",
    source="a test",
    source_sha256="0123456789abcdef0123",
    pinned=False,
    opset=17,
    fused_ops={"Attention": 6},
    parity=Parity(samples=3, max_abs_delta=1e-6, min_cosine=0.9999),
    files={},
    tools={"torch": "2.13.0"},
    exporter="0" * 64,
)


def fill(folder: Path, graph: str) -> None:
    """Write the files of an artefact whose graph is some text."""
    (folder / GRAPH).write_text(graph)
    (folder / TOKENIZER).write_text("{}")
    manifest = replace(MANIFEST_OF_NOTHING, files=record_files(folder))
    (folder / MANIFEST).write_text(manifest.to_json())
