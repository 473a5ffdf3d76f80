"""Untrained models are the same on every machine and in every process."""

import subprocess
import sys

import pytest
import torch

from vla_embeddings.errors import ExportError
from vla_embeddings.export.checkpoints import untrained_source
from vla_embeddings.export.references import load_reference
from vla_embeddings.export.untrained import untrained_tokenizer
from vla_embeddings.models import CLIP_IMAGE, MINILM

TOKENIZER_DIGEST = """
import hashlib
from vla_embeddings.export.untrained import untrained_tokenizer
print(hashlib.sha256(untrained_tokenizer().to_str().encode()).hexdigest())
"""


def test_weights_are_seeded_and_the_callers_random_numbers_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    one = load_reference(CLIP_IMAGE, untrained_source()).tower.state_dict()
    between = torch.rand(3)
    other = load_reference(CLIP_IMAGE, untrained_source()).tower.state_dict()

    assert torch.equal(between, expected)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_process_learns_the_same_tokenizer() -> None:
    digests = {
        subprocess.check_output([sys.executable, "-c", TOKENIZER_DIGEST], text=True)
        for _ in range(3)
    }

    assert len(digests) == 1


def test_special_tokens_have_clips_ids() -> None:
    tokenizer = untrained_tokenizer()

    assert tokenizer.token_to_id("<|startoftext|>") == 49406
    assert tokenizer.token_to_id("<|endoftext|>") == 49407
    assert tokenizer.get_vocab_size() == 49408
    assert tokenizer.encode("").ids == [49406, 49407]


@pytest.mark.parametrize(
    "text", ["Pick Up the cup", "拿起红色方块", "🤖 ☕", "12.5cm, -90°", "\x00"]
)
def test_every_text_has_tokens_of_its_own(text: str) -> None:
    start, *tokens, end = untrained_tokenizer().encode(text).ids

    assert (start, end) == (49406, 49407)
    assert tokens
    assert max(tokens) < 49406


def test_upper_and_lower_case_are_one_as_in_clip() -> None:
    tokenizer = untrained_tokenizer()

    assert tokenizer.encode("PICK up\n\tthe CUP").ids == tokenizer.encode("pick up the cup").ids


def test_minilm_is_never_untrained() -> None:
    with pytest.raises(ExportError, match=r"vla-embeddings\[weights\]"):
        load_reference(MINILM, untrained_source())
