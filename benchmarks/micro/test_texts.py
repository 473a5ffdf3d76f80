"""From a text to what the graph takes."""

from pytest_benchmark.fixture import BenchmarkFixture

from vla_embeddings.models import Artifact
from vla_embeddings.runtime.batches import pad
from vla_embeddings.runtime.tokens import Tokenizer


def test_tokenize_one_instruction(
    benchmark: BenchmarkFixture, text_model: Artifact, instructions: list[str]
) -> None:
    tokenizer = Tokenizer(text_model)
    assert benchmark(tokenizer.encode, instructions[:1])


def test_tokenize_256_instructions(
    benchmark: BenchmarkFixture, text_model: Artifact, instructions: list[str]
) -> None:
    tokenizer = Tokenizer(text_model)
    assert len(benchmark(tokenizer.encode, instructions)) == len(instructions)


def test_pad_32_instructions(
    benchmark: BenchmarkFixture, text_model: Artifact, instructions: list[str]
) -> None:
    tokens = Tokenizer(text_model).encode(instructions[:32])
    ids, mask = benchmark(pad, tokens)
    assert ids.shape == mask.shape == (32, max(map(len, tokens)))
