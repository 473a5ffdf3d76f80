"""Artefacts to try things on: small ones made of nothing, and copies of real ones."""

import shutil
from dataclasses import replace
from pathlib import Path

from vla_embeddings.models import MINILM, Artifact, Manifest, Parity, Precision
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


def fill(
    folder: Path,
    graph: str,
    source: str = MANIFEST_OF_NOTHING.source,
    precision: Precision = MANIFEST_OF_NOTHING.precision,
) -> None:
    """Write the files of an artefact whose graph is some text."""
    (folder / GRAPH).write_text(graph)
    (folder / TOKENIZER).write_text("{}")
    manifest = replace(
        MANIFEST_OF_NOTHING, source=source, precision=precision, files=record_files(folder)
    )
    (folder / MANIFEST).write_text(manifest.to_json())


def copy_of(artifact: Artifact, root: Path) -> Artifact:
    """A copy in a store of its own, at `root`, to be damaged."""
    folder = root / artifact.manifest.model / artifact.manifest.precision
    shutil.copytree(artifact.folder, folder)
    return replace(artifact, folder=folder)


def link_to(artifact: Artifact, root: Path) -> None:
    """Show it in another store, too, at `root`."""
    model, precision = artifact.manifest.model, artifact.manifest.precision
    (root / model).mkdir(exist_ok=True)
    (root / model / precision).symlink_to(artifact.folder)


def vouch_for(artifact: Artifact, manifest: Manifest | None = None) -> Artifact:
    """Make the manifest agree with the files as they are now."""
    (artifact.folder / MANIFEST).unlink()
    agreeing = replace(manifest or artifact.manifest, files=record_files(artifact.folder))
    (artifact.folder / MANIFEST).write_text(agreeing.to_json())
    return replace(artifact, manifest=agreeing)
