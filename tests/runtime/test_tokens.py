"""Tokens equal those of the models' own tokenizers."""

import json
import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Encoding

from tests.models.artifacts import MANIFEST_OF_NOTHING
from vla_embeddings.errors import ArtifactDamaged
from vla_embeddings.export.checkpoints import find_source
from vla_embeddings.export.samples import UNUSUAL_TEXTS
from vla_embeddings.models import CLIP_TEXT, MINILM, Artifact, Model
from vla_embeddings.runtime.tokens import Tokenizer
from vla_embeddings.samples import make_instructions

AutoTokenizer = pytest.importorskip("transformers").AutoTokenizer

# What joins, splits, vanishes or multiplies when it is normalised.
PIECES = (
    *("a", "B", "7", "K", "x" * 101, "word ", "9 " * 40, "pick", "'s", "'ll", "_", "-", "."),
    *("é", "e\u0301", "\u0301", "A\u030a", "ﬁ", "ß", "ſ", "İ", "Σ", "ς", "\u0345", "א", "ก็", "1"),
    *("中", "文", "한", "\u1100\u1161", "🤖", "\U0001f468\u200d\U0001f469", "\u0378", "\ufffd"),
    *(" ", "  ", "\t", "\n", "\r", "\x00", "\x0c", "\x85", "\xa0", "\u200b", "\u2028", "\u3000"),
    *("[SEP]", "[", "]", "<|endoftext|>", "<|", "|>"),
)


def _scrambled(count: int) -> list[str]:
    """Texts of such pieces, many beyond every limit; always the same."""
    chance = random.Random(0)
    return ["".join(chance.choices(PIECES, k=chance.choice((5, 60, 600)))) for _ in range(count)]


TEXTS = [
    *_scrambled(500),
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


@pytest.fixture
def tokenised(minilm: Artifact, monkeypatch: pytest.MonkeyPatch) -> tuple[Tokenizer, list[int]]:
    """MiniLM's tokenizer, and how many characters were tokenised each time."""
    tokenizer = Tokenizer(minilm)
    backend, characters = tokenizer._backend, list[int]()

    class Watched:
        def encode_batch_fast(self, texts: list[str]) -> list[Encoding]:
            characters.append(sum(map(len, texts)))
            encodings: list[Encoding] = backend.encode_batch_fast(texts)
            return encodings

    monkeypatch.setattr(tokenizer, "_backend", Watched())
    return tokenizer, characters


def test_of_many_words_only_those_that_count_are_tokenised(
    tokenised: tuple[Tokenizer, list[int]],
) -> None:
    tokenizer, characters = tokenised

    tokenizer.encode(["put down the cup " * 5_000] * 50)

    assert characters == [50 * len(("put down the cup " * 64).rstrip())]


def test_few_texts_are_tokenised_at_once_where_they_are_long(
    tokenised: tuple[Tokenizer, list[int]],
) -> None:
    """What a text takes before it is cut is some hundred times its size."""
    tokenizer, characters = tokenised

    ids = tokenizer.encode(["拿" * 90_000] * 11)

    assert characters == [450_000, 450_000, 90_000]
    assert [len(each) for each in ids] == [256] * 11


def test_other_threads_run_on_while_a_long_text_is_tokenised(minilm: Artifact) -> None:
    """Python's global lock is not kept, which would stop the event loop."""
    tokenizer = Tokenizer(minilm)
    text = "".join(map(chr, range(0x4E00, 0x9FFF))) * 20
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
