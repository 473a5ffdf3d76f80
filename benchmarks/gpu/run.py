"""The one script for a GPU machine: install what was carried there, then run the suites.

Needs Python and pip to begin with; README.md tells the rest.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))  # it runs as a file, before anything is installed

from benchmarks.gpu.carried import DATA, MODELS, WHEELS  # noqa: E402  # needs the line above
from benchmarks.gpu.parts import CONTENTS, join  # noqa: E402  # likewise

MODELS_DIR, DATA_DIR = "EMBEDDING_MODELS_DIR", "BENCHMARK_DATA_DIR"


def main() -> None:
    """Unpack and install what was carried, if any, run the suites, and show what ran where."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All else, suites too, goes to python -m benchmarks."
    )
    parser.add_argument("--carried", type=Path, help="folder that benchmarks.gpu.pack made")
    parser.add_argument(
        "--site",
        type=Path,
        default=REPOSITORY / ".artifacts" / "gpu",
        help="where its packages are installed, all else beside it (.artifacts/gpu)",
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "tensorrt", "cpu"),
        default="cuda",
        help="what the models run on (%(default)s)",
    )
    arguments, others = parser.parse_known_args()
    sites, places = [REPOSITORY], dict[str, str]()
    if arguments.carried:
        site = arguments.site.resolve()  # the suites run in the clone, wherever this one does
        try:
            places = unpack(arguments.carried, site)
        except ValueError as error:
            sys.exit(f"error: {error}")
        except OSError as error:
            sys.exit(f"error: {error}. Unpacking goes to {site}; --site names another place.")
        sites.insert(0, site)
    elif find_spec("typer") is None:
        parser.error("this Python has not what the suites need: give --carried FOLDER, each time")
    device = ["--device", arguments.device]
    here = ["--peers-here", *(["--models-here"] if MODELS_DIR in places else [])]
    environment = {**_environment(sites), **places}
    statuses = [
        subprocess.run(
            [sys.executable, "-m", *module], cwd=REPOSITORY, env=environment, check=False
        ).returncode
        for module in (
            ["benchmarks", *device, *here, *others],
            ["vla_embeddings", "providers", *device],  # also after a suite that failed
        )
    ]
    sys.exit(next(filter(None, statuses), 0))


def unpack(carried: Path, site: Path) -> dict[str, str]:
    """Install the wheels, put all else beside them, and return the variables that tell where.

    Raises:
        ValueError: what was carried is incomplete or damaged, or not for this Python; the message
            has the cure.
        OSError: a folder cannot be read or written.
    """
    unpacked = site.with_name(f"{site.name}-carried")
    if unpacked.exists():
        if unpacked.samefile(carried):
            raise ValueError(f"{carried} is what was unpacked. Name the folder that was carried.")
        shutil.rmtree(unpacked)  # another pack's wheels cannot be installed beside these
    join(carried, unpacked)
    _clear(site)
    shutil.copy(carried / CONTENTS, site)
    install(unpacked / WHEELS, site)
    folders = {MODELS_DIR: MODELS, DATA_DIR: DATA}
    return {
        variable: str(unpacked / name)
        for variable, name in folders.items()
        if (carried / name).is_dir()
    }


def _clear(site: Path) -> None:
    """Make an empty folder of what an older pack was installed into: pip would leave its rest."""
    if site.exists() and any(site.iterdir()):
        if not (site / CONTENTS).is_file():
            raise ValueError(
                f"{site} has other files. Remove it, or name a folder of its own with --site."
            )
        shutil.rmtree(site)
    site.mkdir(parents=True, exist_ok=True)


def install(wheels: Path, site: Path) -> None:
    """Install every wheel of a folder into another folder, without a network."""
    found = sorted(wheels.glob("*.whl"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--upgrade", f"--target={site}"),
            *map(str, found),
        ],
        check=False,
    )
    if done.returncode:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ValueError(
            f"the wheels in {wheels} could not be installed into {site}: pip says above why. "
            f"This is Python {version} on {platform.machine()}: for Linux on x86-64, "
            f"benchmarks.gpu.pack --python {version} packs what it can install."
        )


def _environment(sites: list[Path]) -> Mapping[str, str]:
    """This process's, with those folders to import from; models stay in the clone."""
    path = [*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])]
    models = os.environ.get(MODELS_DIR, str(REPOSITORY / ".artifacts" / "models"))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "LD_LIBRARY_PATH": os.pathsep.join(_libraries(sites)),
        MODELS_DIR: models,
    }


def _libraries(sites: list[Path]) -> Iterator[str]:
    """Folders of the wheels' shared libraries: peers' ONNX Runtime looks beside itself alone."""
    for place in (*sites, *map(Path, sys.path)):
        for wheel in ("nvidia/*/lib", "tensorrt_libs"):
            yield from map(str, sorted(place.glob(wheel)))
    if known := os.environ.get("LD_LIBRARY_PATH"):
        yield known


if __name__ == "__main__":
    main()
