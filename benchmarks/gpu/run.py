"""The one script for a GPU machine: install what was carried there, then run the suites.

Needs Python and pip to begin with; README.md tells the rest.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))  # it runs as a file, before anything is installed

from benchmarks.gpu.parts import join  # noqa: E402  # needs the line above


def main() -> None:
    """Install the carried wheels, if any, run the suites, and show what ran where."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All else, suites too, goes to python -m benchmarks."
    )
    parser.add_argument("--packages", type=Path, help="folder that benchmarks.gpu.pack made")
    parser.add_argument(
        "--site",
        type=Path,
        default=REPOSITORY / ".artifacts" / "gpu",
        help="where they are installed (.artifacts/gpu)",
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "tensorrt", "cpu"),
        default="cuda",
        help="what the models run on (%(default)s)",
    )
    arguments, others = parser.parse_known_args()
    sites = [REPOSITORY]
    if arguments.packages:
        install(arguments.packages, arguments.site)
        sites.insert(0, arguments.site)
    device = ["--device", arguments.device]
    environment = _environment(sites)
    for module in (
        ["benchmarks", *device, "--peers-here", *others],
        ["vla_embeddings", "providers", *device],
    ):
        command = [sys.executable, "-m", *module]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
        if done.returncode:
            sys.exit(done.returncode)


def install(packages: Path, site: Path) -> None:
    """Install every wheel of a folder, split or whole, into another folder, without a network."""
    wheels = site.with_name(f"{site.name}-wheels")
    join(packages, wheels)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--upgrade", f"--target={site}"),
            *map(str, sorted(wheels.glob("*.whl"))),
        ],
        check=True,
    )


def _environment(sites: list[Path]) -> Mapping[str, str]:
    """This process's, with those folders to import from; models stay in the clone."""
    path = [*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])]
    models = os.environ.get("EMBEDDING_MODELS_DIR", str(REPOSITORY / ".artifacts" / "models"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "EMBEDDING_MODELS_DIR": models}


if __name__ == "__main__":
    main()
