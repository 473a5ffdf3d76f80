"""A vector depends on its own input alone, not on what it is encoded together with."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_embeddings.models import CLIP_IMAGE, Artifact, ArtifactStore
from vla_embeddings.runtime import ImageEncoder, TextEncoder, cache_fingerprint, preprocess
from vla_embeddings.samples import make_instructions, make_scenes

SAME = 1e-5
INSTRUCTIONS = make_instructions(60)
MIXES = st.lists(
    st.one_of(
        st.sampled_from(INSTRUCTIONS),
        st.text(max_size=40),
        st.integers(20, 300).map(lambda words: "block " * words),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("name", ["text_encoder", "clip_text_encoder"])
def test_a_batch_equals_its_texts_one_by_one(name: str, request: pytest.FixtureRequest) -> None:
    """Whatever the lengths that pad each other, and whatever the order."""
    encoder: TextEncoder = request.getfixturevalue(name)
    single = cache(lambda text: encoder.encode([text])[0])

    @settings(max_examples=10, deadline=None)
    @given(MIXES)
    def batch_equals_single(texts: list[str]) -> None:
        expected = np.stack([single(text) for text in texts])
        np.testing.assert_allclose(encoder.encode(texts), expected, rtol=0, atol=SAME)

    batch_equals_single()


def test_vectors_follow_their_texts_into_another_order(text_encoder: TextEncoder) -> None:
    order = np.random.default_rng(0).permutation(len(INSTRUCTIONS))

    vectors = text_encoder.encode(INSTRUCTIONS)
    shuffled = text_encoder.encode([INSTRUCTIONS[index] for index in order])

    np.testing.assert_allclose(shuffled, vectors[order], rtol=0, atol=SAME)


@pytest.mark.parametrize(
    ("name", "dimension"), [("text_encoder", 384), ("clip_text_encoder", 512)]
)
def test_text_vectors_are_float32_of_unit_length(
    name: str, dimension: int, request: pytest.FixtureRequest
) -> None:
    encoder: TextEncoder = request.getfixturevalue(name)

    vectors = encoder.encode(INSTRUCTIONS[:9])

    assert vectors.shape == (9, dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=1e-6)


def test_no_texts_have_no_vectors(text_encoder: TextEncoder) -> None:
    assert text_encoder.encode([]).shape == (0, 384)


def test_no_images_have_no_vectors(image_encoder: ImageEncoder) -> None:
    assert image_encoder.encode([]).shape == (0, 512)


def test_a_batch_of_images_equals_its_images_one_by_one(image_encoder: ImageEncoder) -> None:
    pixels = np.stack([preprocess(scene.image) for scene in make_scenes(5)])

    together = image_encoder.encode(pixels)

    alone = np.concatenate([image_encoder.encode(image[None]) for image in pixels])
    assert together.shape == (5, 512)
    np.testing.assert_allclose(together, alone, rtol=0, atol=SAME)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=0, atol=1e-6)


def test_only_an_images_cache_key_depends_on_the_preprocessing(minilm: Artifact) -> None:
    image = ArtifactStore(minilm.folder.parents[1]).open(CLIP_IMAGE, "fp32")

    assert cache_fingerprint(minilm) == minilm.manifest.fingerprint
    assert cache_fingerprint(image) == f"{image.manifest.fingerprint}/clip224-1"
