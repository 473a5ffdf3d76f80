"""What is not needed is not imported."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "optimum", "onnx", "onnxruntime", "huggingface_hub")
# Runs some code, then prints which of the heavy packages it imported.
PROBE = "import sys\n{code}\nprint(*({heavy!r} & {{name.split('.')[0] for name in sys.modules}}))"

ENCODE = """
from pathlib import Path
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.runtime import CPU_CHOICE, TextEncoder
artifact = ArtifactStore(Path(r'{models_dir}')).open(MINILM, 'fp32')
TextEncoder.load(artifact, CPU_CHOICE, threads=1).encode(['go'])
"""


def _imported_by(code: str) -> set[str]:
    probe = PROBE.format(code=code, heavy=set(HEAVY))
    return set(subprocess.check_output([sys.executable, "-c", probe], text=True).split())


@pytest.mark.parametrize("name", ["vla_embeddings", "vla_embeddings.runtime"])
def test_importing_loads_neither_pytorch_nor_onnxruntime(name: str) -> None:
    assert _imported_by(f"import {name}") == set()


def test_a_service_that_was_not_used_has_loaded_nothing() -> None:
    code = "from vla_embeddings import EmbeddingService; EmbeddingService().cleanup()"

    assert _imported_by(code) == set()


def test_encoding_needs_onnxruntime_alone(models_dir: Path) -> None:
    assert _imported_by(ENCODE.format(models_dir=models_dir)) == {"onnxruntime"}


def test_asking_what_is_current_needs_no_pytorch(models_dir: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from vla_embeddings.export import find_current\n"
        "from vla_embeddings.models import MINILM, ArtifactStore\n"
        f"assert find_current(MINILM, 'fp32', ArtifactStore(Path(r'{models_dir}')))"
    )

    assert _imported_by(code) == set()


def test_the_parts_import_each_other_one_way_only() -> None:
    root = Path(__file__).parents[2]
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]

    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
