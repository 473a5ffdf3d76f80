"""The one script for a GPU machine: install what was carried there, then measure.

Needs Python and pip to begin with; README.md tells the rest.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))  # it runs as a file, before anything is installed

from benchmarks.gpu.parts import join  # noqa: E402  # needs the line above


def main() -> None:
    """Install the carried wheels, if any, and hand over to `benchmarks.gpu.measure`."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All other options go to python -m benchmarks.gpu.measure."
    )
    parser.add_argument("--packages", type=Path, help="folder that benchmarks.gpu.pack made")
    parser.add_argument(
        "--site",
        type=Path,
        default=REPOSITORY / ".artifacts" / "gpu",
        help="where they are installed (.artifacts/gpu)",
    )
    arguments, others = parser.parse_known_args()
    path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    if arguments.packages:
        install(arguments.packages, arguments.site)
        path.insert(0, str(arguments.site))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    measure = [sys.executable, "-m", "benchmarks.gpu.measure", *others]
    sys.exit(subprocess.run(measure, cwd=REPOSITORY, env=environment, check=False).returncode)


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


if __name__ == "__main__":
    main()
