"""Text to token ids, with the models' own tokenizers."""

import re
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Tokenizer as Backend

from vla_embeddings.errors import ArtifactDamaged
from vla_embeddings.models import Artifact

# Characters that are tokenised together: each takes up to 115 bytes until its text is cut.
_AT_ONCE = 500_000

# What has a letter or digit of ASCII in it, up to the next blank. Tokenizers split at these four
# blanks, and make a token at least of every such word.
_WORD = r"[^A-Za-z0-9]*+[A-Za-z0-9][^ \t\r\n]*+"


class Tokenizer:
    """An artefact's tokenizer, cutting texts at the model's token limit and padding nothing.

    Raises:
        ArtifactDamaged: `tokenizer.json` cannot be read.
    """

    def __init__(self, artifact: Artifact) -> None:
        try:
            self._backend = Backend.from_file(str(artifact.tokenizer))
        except Exception as error:  # the bindings raise plain Exception
            raise ArtifactDamaged(
                f"{artifact.tokenizer} cannot be read: {error}. Make it anew: {artifact.remedy}"
            ) from error
        # The file's own settings are another program's: MiniLM's pads and cuts at 128.
        self._backend.no_padding()
        limit = artifact.manifest.max_tokens
        if limit is None:
            self._backend.no_truncation()
        else:
            self._backend.enable_truncation(limit)
        self._enough = None if limit is None else re.compile(f"(?:{_WORD}){{{limit}}}+")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included."""
        # Not `encode`, even for one: it keeps Python's global lock, 0.2 s for a long text.
        return [
            encoding.ids
            for group in _groups(map(self._cut, texts))
            for encoding in self._backend.encode_batch_fast(group)
        ]

    def _cut(self, text: str) -> str:
        """The text without words whose tokens are beyond the limit, where that is sure."""
        enough = self._enough and self._enough.match(text)
        return enough[0] if enough else text


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lists of texts in their order, each of few enough characters to be tokenised at once."""
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > _AT_ONCE:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group
