"""Which texts can be embedded."""

import unicodedata

from vla_embeddings.errors import InvalidInput

MAX_CHARACTERS = 100_000
"""Longest instruction accepted. All models read far less; tokenising more only takes time."""


def check_text(text: str, name: str) -> None:
    """Refuse what no model can embed.

    Args:
        text: an instruction, or what a caller took for one.
        name: what messages call it.

    Raises:
        InvalidInput: no string, without any visible character, longer than `MAX_CHARACTERS`, or
            no valid Unicode.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"{name}: expected a string, got {type(text).__name__}.")
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            f"{name}: expected at most {MAX_CHARACTERS:,} characters, got {len(text):,}."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name}: not valid Unicode text ({error}).") from error
    if not any(map(_is_visible, text)):
        raise InvalidInput(
            f"{name}: expected an instruction, got {text[:20]!r}, which is blank: without any "
            "visible character."
        )


def _is_visible(character: str) -> bool:
    """Whether models see it: tokenizers drop control characters and split at separators."""
    return unicodedata.category(character)[0] not in "CZ"
