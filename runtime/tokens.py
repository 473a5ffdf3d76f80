"""Text to token ids, with the models' own tokenizers."""

from collections.abc import Sequence

from tokenizers import Tokenizer as Backend

from vla_embeddings.errors import ArtifactDamaged
from vla_embeddings.models import Artifact


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

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included."""
        # Not `encode`, even for one: it keeps Python's global lock, 0.2 s for a long text.
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts))]
