"""`python -m benchmarks.gpu.pack FOLDER`: what a GPU machine lacks, to carry there."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from benchmarks.gpu.carried import DATA, MODELS, WHEELS
from benchmarks.gpu.closure import closure
from benchmarks.gpu.parts import PART_BYTES, split
from benchmarks.machine import REPOSITORY
from benchmarks.models import models_for
from benchmarks.peers.encoders import ENCODERS
from benchmarks.peers.environment import PeerFailed, make_environment
from vla_embeddings.config import Device
from vla_embeddings.errors import EmbeddingError
from vla_embeddings.models import ArtifactStore
from vla_embeddings.models.store import MANIFEST

EXTRAS = ("export", "weights", "embedded")
THERE = ("torch", "onnx", "numpy")
# The same release, with CUDA; what it is linked to comes with PyTorch.
GPU_WHEELS = {"onnxruntime": "onnxruntime-gpu"}
TENSORRT = "tensorrt-cu13-libs<11"


def main() -> None:
    """Gather wheels, at the versions installed here, models and data; split what is large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.pack", description=__doc__)
    parser.add_argument("folder", type=Path, help="where it goes, a new one; 450 MB of wheels")
    parser.add_argument(
        "--models", type=Path, help="a folder of exported models: 800 MB; else they are made there"
    )
    parser.add_argument(
        "--data", type=Path, help="a folder of real inputs, as ../shared/data; else they are made"
    )
    parser.add_argument("--python", default="3.12", help="of the GPU machine (%(default)s)")
    parser.add_argument(
        "--part-mb", type=int, default=PART_BYTES >> 20, help="largest file (%(default)s)"
    )
    parser.add_argument(
        "--there",
        action="append",
        default=list(THERE),
        metavar="PACKAGE",
        help=f"not to be carried, besides {', '.join(THERE)} and what they need; several times",
    )
    parser.add_argument("--tensorrt", action="store_true", help="TensorRT 10 too: gigabytes")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        parser.error(f"{folder} is not empty: what lay there would be carried, too. Name another.")
    if arguments.part_mb < 1:
        parser.error(f"--part-mb: expected 1 or more, got {arguments.part_mb}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            draft = Path(name)
            _gather(draft, arguments)
            split(draft, arguments.part_mb << 20)
            for path in draft.iterdir():
                path.rename(folder / path.name)
    except (EmbeddingError, PeerFailed, LookupError, OSError) as error:
        sys.exit(f"error: {error}")
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    print(f"{folder}: {sum(sizes) / 1e6:.0f} MB in {len(sizes)} files")


def _gather(folder: Path, arguments: argparse.Namespace) -> None:
    if arguments.models:
        device: Device = "tensorrt" if arguments.tensorrt else "cuda"
        copy_models(ArtifactStore(arguments.models), folder / MODELS, device)
    if arguments.data:
        shutil.copytree(arguments.data, folder / DATA)
    wheels = [*pinned(needed(arguments.python, arguments.there))]
    if arguments.tensorrt:
        wheels.append(TENSORRT)
    download(wheels, folder / WHEELS, arguments.python)


def copy_models(store: ArtifactStore, folder: Path, device: Device) -> None:
    """Copy those that are measured on a device, without engines, which are of one machine.

    Raises:
        ModelNotFound: one of them was not exported; the message has the command.
        ArtifactDamaged: one is not as it was written.
    """
    for model, precision in models_for(device):
        artifact = store.open(model, precision)
        artifact.verify()
        destination = folder / model.name / precision
        destination.mkdir(parents=True)
        for name in (MANIFEST, *artifact.manifest.files):
            shutil.copyfile(artifact.folder / name, destination / name)


def needed(python: str, there: Collection[str]) -> Mapping[str, str]:
    """Names and versions of all that the library, its export and its peers on a GPU need."""
    peers = make_environment("encoders").interpreter()
    [site] = peers.parents[1].glob("lib/python*/site-packages")
    return closure([*requirements()], [*sys.path, str(site)], python=python, there=there)


def requirements() -> Iterator[str]:
    """What the library and the peers ask for themselves."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    yield from project["dependencies"]
    for extra in EXTRAS:
        yield from project["optional-dependencies"][extra]
    yield from {adapter.package for adapter in ENCODERS.values() if adapter.on_gpu}
    yield from GPU_WHEELS


def pinned(versions: Mapping[str, str]) -> Iterator[str]:
    """Requirements for pip, with CUDA where there is a choice."""
    for name, version in sorted(versions.items()):
        yield f"{GPU_WHEELS.get(name, name)}=={version}"


def download(wheels: list[str], folder: Path, python: str) -> None:
    """Fetch wheels for Linux on x86-64, and nothing that they depend on.

    Raises:
        LookupError: pip could not; it has said why.
    """
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", f"--python-version={python}"),
            *(*platforms, "--platform=manylinux2014_x86_64", f"--dest={folder}", *wheels),
        ],
        check=False,
    )
    if done.returncode:
        raise LookupError(
            f"pip could not fetch the wheels for Python {python} on Linux on x86-64: it says "
            "above why. Nothing was packed."
        )


if __name__ == "__main__":
    main()
