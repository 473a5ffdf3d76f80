"""A stand-in for CLIP's tokenizer, for untrained models where CLIP's own files are not at hand."""

import json

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

from vla_embeddings.samples.instructions import make_instructions

START, START_ID = "<|startoftext|>", 49406
END, END_ID = "<|endoftext|>", 49407
WORD_END = "</w>"
# How CLIP splits words: contractions, letters, single digits, other signs.
_WORDS = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
_VOCABULARY_SIZE = 2000


def untrained_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer of CLIP's form, its merges learnt from generated instructions.

    Special tokens have CLIP's ids and instructions come out about as long as with CLIP's own
    tokenizer; the other ids are not CLIP's.
    """
    trainer = BpeTrainer(
        vocab_size=_VOCABULARY_SIZE,
        end_of_word_suffix=WORD_END,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        # Else they get their ids, which decide between merges, in another order in every process.
        special_tokens=[
            letter + WORD_END for letter in sorted(pre_tokenizers.ByteLevel.alphabet())
        ],
        show_progress=False,
    )
    learner = _with_clip_rules(models.BPE(end_of_word_suffix=WORD_END))
    learner.train_from_iterator(make_instructions(2000), trainer)
    learnt = json.loads(learner.to_str())["model"]
    # No id may be missing between the learnt ones and the special ones.
    filler = {f"<|unused-{i}|>": i for i in range(len(learnt["vocab"]), START_ID)}
    tokenizer = _with_clip_rules(
        models.BPE(
            vocab=learnt["vocab"] | filler | {START: START_ID, END: END_ID},
            merges=[(first, second) for first, second in learnt["merges"]],
            unk_token=END,
            end_of_word_suffix=WORD_END,
        )
    )
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=(END, END_ID), cls=(START, START_ID), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def _with_clip_rules(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
