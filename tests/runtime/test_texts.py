"""Texts that no model can embed are refused."""

import random
import sys
import unicodedata

import pytest

from vla_embeddings.errors import InvalidInput
from vla_embeddings.runtime import check_text


def _is_accepted(text: str) -> bool:
    try:
        check_text(text, "text")
    except InvalidInput:
        return False
    return True


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def test_a_character_is_visible_unless_unicode_calls_it_control_or_separator() -> None:
    for code in range(0x30000):  # beyond are ideographs, tags and what is unassigned
        assert _is_accepted(chr(code)) == _is_visible(chr(code)), hex(code)


def test_a_text_is_accepted_where_any_of_its_characters_is_visible() -> None:
    chance = random.Random(0)
    invisible = [*" \t\n\x00\x1c\x85\xa0\xad\u200b\u2028\u3000\ufeff\U000e0001\u0378\ue000"]

    for _ in range(20_000):
        text = "".join(chance.choices(invisible, k=chance.randrange(6)))
        if chance.random() < 0.5:
            character = chr(chance.randrange(sys.maxunicode + 1))
            place = chance.randrange(len(text) + 1)
            text = text[:place] + character + text[place:]
        is_text = not any("\ud800" <= character <= "\udfff" for character in text)

        assert _is_accepted(text) == (is_text and any(map(_is_visible, text))), ascii(text)


@pytest.mark.parametrize("blank", [" ", "\n", "\u200b", "\u200b ", "\U000e0001"])
def test_one_letter_among_very_many_blanks_counts(blank: str) -> None:
    many = blank * (90_000 // len(blank))

    assert _is_accepted(many + "a" + many[:9_000])
    assert not _is_accepted(many)
