"""The towers and their graphs compute what transformers computes on the same weights."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vla_embeddings.export.references import Reference
from vla_embeddings.export.samples import UNUSUAL_TEXTS, graph_inputs, parity_samples
from vla_embeddings.models import CLIP_IMAGE
from vla_embeddings.runtime import ImageEncoder, TextEncoder
from vla_embeddings.samples import make_instructions

# Other orders of the same sums differ by less; leaving out anything differs by a thousand times
# more.
EXACT = 2e-6
TEXTS = [*make_instructions(3), *UNUSUAL_TEXTS]
START, END = 49406, 49407


def _assert_equal(vectors: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=EXACT)


def _run(tower: torch.nn.Module, **inputs: NDArray[Any]) -> NDArray[np.float32]:
    with torch.inference_mode():
        vectors: torch.Tensor = tower(**{n: torch.as_tensor(v) for n, v in inputs.items()})
        return vectors.numpy()


def test_minilm_is_the_mean_over_real_tokens(minilm: Reference, text_encoder: TextEncoder) -> None:
    _assert_equal(text_encoder.encode(TEXTS), minilm.vectors(TEXTS))


def test_trimming_the_image_towers_last_block_is_exact(
    clip_image: Reference, image_encoder: ImageEncoder
) -> None:
    images = parity_samples(CLIP_IMAGE)[-3:]
    pixels = np.array(graph_inputs(images))
    expected = clip_image.vectors(images)

    _assert_equal(_run(clip_image.tower, pixels=pixels), expected)
    _assert_equal(image_encoder.encode(pixels), expected)


def test_the_text_graph_needs_neither_attention_mask_nor_its_last_blocks_other_tokens(
    clip_text: Reference, clip_text_encoder: TextEncoder
) -> None:
    assert clip_text_encoder.session.input_names == ("input_ids",)

    _assert_equal(clip_text_encoder.encode(TEXTS), clip_text.vectors(TEXTS))


@pytest.mark.parametrize("behind", [[0] * 7, [END] * 7, [7, START, 12, END, 400]], ids=str)
def test_tokens_behind_the_end_of_text_never_change_a_vector(
    clip_text_encoder: TextEncoder, behind: list[int]
) -> None:
    ids = [START, 320, 1125, 539, END]

    alone = clip_text_encoder.session.run({"input_ids": np.array([ids])})
    followed = clip_text_encoder.session.run({"input_ids": np.array([ids + behind])})

    _assert_equal(followed, alone)


def test_tokens_before_the_end_of_text_do_change_it(clip_text_encoder: TextEncoder) -> None:
    ids = np.array([[START, 320, 1125, END], [START, 321, 1125, END]])

    one, other = clip_text_encoder.session.run({"input_ids": ids})

    assert np.abs(one - other).max() > 1000 * EXACT
