"""Tokens equal those of the models' own tokenizers."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.artifacts import MANIFEST_OF_NOTHING
from vla_embeddings.errors import ArtifactDamaged
from vla_embeddings.export.checkpoints import find_source
from vla_embeddings.export.samples import UNUSUAL_TEXTS
from vla_embeddings.models import CLIP_TEXT, MINILM, Artifact, Model
from vla_embeddings.runtime.tokens import Tokenizer
from vla_embeddings.samples import make_instructions

AutoTokenizer = pytest.importorskip("transformers").AutoTokenizer

TEXTS = [
    *make_instructions(200),
    *UNUSUAL_TEXTS,
    "",
    "  two  spaces  ",
    "Ça déjà-vu naïve ﬁancée",
    "[SEP] <|endoftext|>",
    "zero\u200bwidth \ufeffmark",
    "word " * 600,
    "x" * 5000,
]


def _of_folder(folder: Path, model: Model) -> Tokenizer:
    manifest = replace(MANIFEST_OF_NOTHING, kind=model.kind, max_tokens=model.max_tokens)
    return Tokenizer(Artifact(folder, manifest, "vla-embeddings export"))


def _assert_equals_transformers(tokenizer: Tokenizer, folder: Path, limit: int) -> None:
    reference = AutoTokenizer.from_pretrained(folder)
    expected = reference(TEXTS, truncation=True, max_length=limit)["input_ids"]

    together = tokenizer.encode(TEXTS)

    assert together == expected
    assert [tokenizer.encode([text])[0] for text in TEXTS] == expected
    assert max(map(len, together)) == limit


def test_minilms_tokens_equal_transformers_up_to_256(minilm: Artifact) -> None:
    folder = find_source(MINILM).folder
    assert folder is not None

    _assert_equals_transformers(Tokenizer(minilm), folder, 256)


def test_clips_tokens_equal_transformers_up_to_77(shared_data: Path) -> None:
    folder = shared_data / "clip-vit-base-patch32"

    _assert_equals_transformers(_of_folder(folder, CLIP_TEXT), folder, 77)


def test_clips_tokens_equal_the_published_ones(shared_data: Path) -> None:
    rows = json.loads((shared_data / "golden" / "clip_tokenizer_golden.json").read_text())
    tokenizer = _of_folder(shared_data / "clip-vit-base-patch32", CLIP_TEXT)

    assert tokenizer.encode([row["text"] for row in rows]) == [row["hf_ids"] for row in rows]


def test_a_text_cut_at_the_limit_keeps_its_last_special_token(minilm: Artifact) -> None:
    [ids] = Tokenizer(minilm).encode(["word " * 600])

    assert (len(ids), ids[0], ids[-1]) == (256, 101, 102)


def test_other_threads_run_on_while_a_long_text_is_tokenised(minilm: Artifact) -> None:
    """Python's global lock is not kept, which would stop the event loop."""
    tokenizer = Tokenizer(minilm)
    text = "".join(map(chr, range(0x4E00, 0x9FFF))) * 5
    encoding = threading.Thread(target=tokenizer.encode, args=([text],))
    ticks = 0

    encoding.start()
    while encoding.is_alive():
        time.sleep(0.001)
        ticks += 1

    assert ticks > 10


def test_a_tokenizer_that_cannot_be_read_names_the_command(minilm_copy: Artifact) -> None:
    minilm_copy.tokenizer.write_text('{"version": "1.0"')

    with pytest.raises(ArtifactDamaged, match=r"tokenizer.json cannot be read.*--model text"):
        Tokenizer(minilm_copy)
