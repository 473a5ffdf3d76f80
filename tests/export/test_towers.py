"""The towers compute what transformers computes on the same weights."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vla_embeddings.export.references import Reference, Samples
from vla_embeddings.export.samples import UNUSUAL_TEXTS, graph_inputs, parity_samples
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM
from vla_embeddings.runtime.batches import pad
from vla_embeddings.samples import make_instructions

# Rounding of another order of the same sums; an inexact trimming is off by a tenth.
EXACT = 2e-6
TEXTS = [*make_instructions(8), *UNUSUAL_TEXTS]


def _vectors(reference: Reference, *inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    with torch.inference_mode():
        vectors: torch.Tensor = reference.tower(*map(torch.as_tensor, inputs))
    return vectors.numpy()


def _ids(reference: Reference, texts: list[str], limit: int) -> list[list[int]]:
    assert reference.tokenizer is not None
    reference.tokenizer.no_padding()
    reference.tokenizer.enable_truncation(limit)
    return [encoding.ids for encoding in reference.tokenizer.encode_batch(texts)]


def _expected(reference: Reference, samples: Samples) -> NDArray[np.float32]:
    return reference.vectors(samples)


def test_minilm_pools_as_transformers_tokens_averaged_by_the_mask(minilm: Reference) -> None:
    ids, mask = pad(_ids(minilm, TEXTS, 256))

    np.testing.assert_allclose(
        _vectors(minilm, ids, mask), _expected(minilm, TEXTS), rtol=0, atol=EXACT
    )


def test_clips_image_tower_with_its_last_block_trimmed_is_exact(clip_image: Reference) -> None:
    images = parity_samples(CLIP_IMAGE)[-8:]

    np.testing.assert_allclose(
        _vectors(clip_image, np.asarray(graph_inputs(images))),
        _expected(clip_image, images),
        rtol=0,
        atol=EXACT,
    )


@pytest.mark.parametrize("text", TEXTS[7:], ids=lambda text: text[:20])
def test_the_texts_one_by_one_are_within_clips_limit(clip_text: Reference, text: str) -> None:
    [ids] = _ids(clip_text, [text], 77)

    assert 2 < len(ids) <= 77
