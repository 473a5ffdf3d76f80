"""From an image to what the graph takes."""

from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from vla_embeddings.runtime import decode, preprocess


def test_decode_a_640x480_jpeg(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    assert benchmark(decode, jpeg).size == (640, 480)


def test_preprocess_a_640x480_jpeg(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    assert benchmark(preprocess, jpeg).shape == (224, 224, 3)


def test_preprocess_a_640x480_pil_image(benchmark: BenchmarkFixture, picture: Image.Image) -> None:
    assert benchmark(preprocess, picture).shape == (224, 224, 3)
