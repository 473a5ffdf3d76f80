"""Cache keys and entries."""

import time

import numpy as np
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from vla_embeddings.cache import image_key, instruction_key
from vla_embeddings.cache.entry import pack, unpack

EXPIRES_MS = int(1000 * (time.time() + 600))


def test_key_of_an_instruction(benchmark: BenchmarkFixture, instructions: list[str]) -> None:
    assert benchmark(instruction_key, "model", instructions[0])


def test_key_of_a_640x480_jpeg(benchmark: BenchmarkFixture, jpeg: bytes) -> None:
    assert benchmark(image_key, "model", jpeg)


def test_key_of_640x480_pixels(benchmark: BenchmarkFixture, picture: Image.Image) -> None:
    assert benchmark(image_key, "model", np.asarray(picture))


def test_encode_an_entry(benchmark: BenchmarkFixture) -> None:
    vector = np.ones(384, np.float32)
    assert len(benchmark(pack, b"key", vector, EXPIRES_MS, "float32")) > vector.nbytes


def test_decode_1000_entries(benchmark: BenchmarkFixture) -> None:
    keys = [f"key {number}".encode() for number in range(1000)]
    entries = [pack(key, np.ones(384, np.float32), EXPIRES_MS, "float32") for key in keys]
    assert len(benchmark(unpack, keys, entries)) == len(keys)
