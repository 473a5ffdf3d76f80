"""Inputs of the single functions."""

import io

import pytest
from PIL import Image

from vla_embeddings.config import embedding_config
from vla_embeddings.latency import camera_jpeg, installed
from vla_embeddings.models import Artifact
from vla_embeddings.samples import make_instructions


def pytest_benchmark_generate_machine_info() -> dict[str, str]:
    """Nothing: it takes a second to find out, and the suite's result tells the machine."""
    return {}


@pytest.fixture(scope="session")
def text_model() -> Artifact:
    """The exported instruction model of EMBEDDING_MODELS_DIR."""
    return next(
        each for each in installed(embedding_config, ["fp32"]) if each.manifest.kind == "text"
    )


@pytest.fixture(scope="session")
def instructions() -> list[str]:
    """256 generated ones."""
    return make_instructions(256)


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A drawn scene, 640x480."""
    return camera_jpeg()


@pytest.fixture(scope="session")
def picture(jpeg: bytes) -> Image.Image:
    """The same, decoded."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.convert("RGB")
