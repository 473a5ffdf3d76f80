"""The error tree: complete in its docstring, and catchable by those who do not know it."""

import builtins
import inspect
import re

import pytest

from vla_embeddings import errors

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if value is not errors.EmbeddingError
]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_each_error_is_ours_and_a_builtin(error: type[Exception]) -> None:
    assert issubclass(error, errors.EmbeddingError)
    assert any(
        base is not Exception and vars(builtins).get(base.__name__) is base
        for base in error.__mro__
        if issubclass(base, Exception)
    )


def test_the_docstring_shows_every_error() -> None:
    shown = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")

    assert sorted(shown) == sorted(error.__name__ for error in CLASSES)
