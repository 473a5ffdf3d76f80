"""Which texts can be embedded."""

from vla_embeddings.errors import InvalidInput

MAX_CHARACTERS = 100_000
"""Longest instruction accepted. All models read far less: words of ASCII beyond that are left out.
So much of another script is tokenised whole, which takes 0.1 s of a thread and 12 MB."""


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
    if not _is_visible(text):
        raise InvalidInput(
            f"{name}: expected an instruction, got {text[:20]!r}, which is blank: without any "
            "visible character."
        )


def _is_visible(text: str) -> bool:
    """Whether models see anything: tokenizers drop control characters and split at separators."""
    # Python calls these two unprintable (Unicode's categories C and Z), all but the space.
    return any(map(str.isprintable, text.strip().replace(" ", "")))
