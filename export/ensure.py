"""Export what is missing or out of date, and nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from vla_embeddings.errors import ArtifactDamaged, MissingDependency, ModelNotFound
from vla_embeddings.export.provenance import is_current
from vla_embeddings.models import Artifact, ArtifactStore, Model, Precision

Status = Literal["exported", "up to date"]
Progress = Callable[[str], None]
"""Told what is being done, in a few words."""


def find_current(model: Model, precision: Precision, store: ArtifactStore) -> Artifact | None:
    """The artefact, if it is whole and today's code and tools would make the same of its source.

    Looks at the disk alone: neither PyTorch nor the network is touched.
    """
    try:
        artifact = store.open(model, precision)
        artifact.verify()
    except (ModelNotFound, ArtifactDamaged):
        return None
    return artifact if is_current(artifact.manifest) else None


def ensure_exported(
    model: Model,
    precisions: Sequence[Precision],
    store: ArtifactStore,
    *,
    source: str = "auto",
    untrained: bool = False,
    force: bool = False,
    progress: Progress = lambda step: None,
) -> list[tuple[Artifact, Status]]:
    """The artefacts of a model, exported where they are not up to date.

    Args:
        model: what to export.
        precisions: in which precisions.
        store: where to.
        source: see `checkpoints.find_source`; with `untrained`, `auto` or a folder with the
            model's config and tokenizer.
        untrained: seeded weights instead of a checkpoint's.
        force: export also what is up to date.
        progress: told each step.

    Raises:
        ModelNotFound: the weights are not to be had.
        ExportError: a check failed; nothing was written for that precision.
        NotWritable: the store's folder cannot be written, or its disk is full.
        MissingDependency: the extra `export` is not installed.
    """
    try:
        from vla_embeddings.export.checkpoints import find_source, untrained_source
    except ImportError as error:
        raise _missing(error) from error
    progress("looking for the weights")
    if untrained:
        found = untrained_source(None if source == "auto" else Path(source).expanduser())
    else:
        found = find_source(model, source)
    done: dict[Precision, tuple[Artifact, Status]] = {}
    for precision in precisions:
        artifact = None if force else find_current(model, precision, store)
        if artifact is not None and artifact.manifest.source_sha256 == found.sha256:
            done[precision] = artifact, "up to date"
    missing: list[Precision] = [precision for precision in precisions if precision not in done]
    if missing:
        store.require_writable(model)
        try:
            from vla_embeddings.export.exporter import export_model
        except ImportError as error:
            raise _missing(error) from error
        for artifact in export_model(model, missing, found, store, progress=progress):
            done[artifact.manifest.precision] = artifact, "exported"
    return [done[precision] for precision in precisions]


def _missing(error: ImportError) -> MissingDependency:
    return MissingDependency(
        f"Exporting needs PyTorch, transformers and optimum ({error}): "
        "pip install 'vla-embeddings[export,cpu]'."
    )
