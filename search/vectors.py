"""Vectors on their way into a statement: checked before anything is sent."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import DimensionMismatch, InvalidInput
from vla_embeddings.search.catalog import Column

Vector: TypeAlias = NDArray[np.floating] | Sequence[float]

# pgvector's limit of a vector that is stored; `MAX_INDEXED_DIMENSION` is that of an indexed one.
MAX_STORED_DIMENSION = 16_000

# A number above the first is too large for halfvec, and one up to the second is zero in it.
_HALF_MAX, _HALF_ZERO = float(np.finfo(np.float16).max), 2.0**-25
_SINGLE = np.dtype(np.float32)

# A vector whose length lies between these has no fault: no number is too large for halfvec, not
# all are zero in it, and squares neither overflow float32 nor all become zero in it.
_SHORT, _LONG = _HALF_ZERO * math.sqrt(MAX_STORED_DIMENSION), _HALF_MAX


def checked(vector: object, column: Column, *, what: str) -> list[float]:
    """The numbers of `vector`, rounded to float32 and fit for `column`.

    Args:
        vector: of shape (d,).
        what: names it in messages.

    Raises:
        DimensionMismatch: another length than the column's.
        InvalidInput: not numeric, not finite, of zero length as the column would hold it (it has
            no direction, and cosine indexes leave it out), or too large for a halfvec column.
    """
    array = _numbers(vector, what)
    if array.ndim != 1:
        raise InvalidInput(f"{what}: expected one vector of shape (d,); got shape {array.shape}.")
    expected = column.dimension or array.size
    if array.size != expected or not 0 < array.size <= MAX_STORED_DIMENSION:
        raise DimensionMismatch(
            f"{what}: column {column.sql} holds vectors of {expected or 'some'} dimensions; "
            f"got {array.size}."
        )
    single = _narrowed(array)
    numbers: list[float] = single.tolist()
    # Of cold caches, as they are between two waits, NumPy's check takes 20 µs and this one 4.
    if not _SHORT < math.hypot(*numbers) < _LONG and (fault := _fault(single, column)):
        raise InvalidInput(f"{what}: {fault}")
    return numbers


def fits_half(numbers: Sequence[float]) -> bool:
    """Whether halfvec can hold them: none is too large, and not all are zero in it."""
    return _HALF_ZERO < max(map(abs, numbers)) <= _HALF_MAX


def checked_matrix(
    vectors: Sequence[object], column: Column, *, name: Callable[[int], str]
) -> NDArray[np.float32]:
    """`vectors` as float32 of shape (n, d), checked in one pass; `name(i)` names each.

    Raises as `checked` does, for the first vector at fault.
    """
    try:
        matrix = np.asarray(vectors)
    except (ValueError, TypeError):  # ragged: one of them has another length
        return _one_by_one(vectors, column, name)
    whole = matrix.ndim == 2 and matrix.dtype.kind in "fiu" and matrix.shape[1] > 0
    if not whole or matrix.shape[1] != (column.dimension or matrix.shape[1]):
        return _one_by_one(vectors, column, name)
    matrix = _narrowed(matrix)
    if _fault(matrix, column):
        return _one_by_one(vectors, column, name)
    return matrix


def _one_by_one(
    vectors: Sequence[object], column: Column, name: Callable[[int], str]
) -> NDArray[np.float32]:
    rows = [checked(vector, column, what=name(n)) for n, vector in enumerate(vectors)]
    lengths = set(map(len, rows))
    if len(lengths) > 1:
        raise DimensionMismatch(f"Vectors of one batch have different lengths: {sorted(lengths)}.")
    return np.array(rows, np.float32)


def _numbers(vector: object, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(vector)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise InvalidInput(
            f"{what}: expected numbers, such as a float32 array; got {type(vector).__name__}."
        )
    return array


def _narrowed(array: NDArray[Any]) -> NDArray[np.float32]:
    """`array` as float32, itself where it is so already; a number above the range becomes inf."""
    if array.dtype == _SINGLE:
        return array
    with np.errstate(over="ignore", under="ignore"):
        return array.astype(np.float32)


def _fault(array: NDArray[np.float32], column: Column) -> str | None:
    """What is wrong with one vector, or with any row of a matrix."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        # In float32, as pgvector sums: whatever would make its distance NaN shows here.
        squares = np.einsum("...d,...d->...", array, array)
    if not np.isfinite(squares).all():
        return "it holds NaN, infinity or numbers too large for pgvector's float32 arithmetic."
    if not squares.all():
        return "it is of zero length, so it has no direction."
    if column.vector_type != "halfvec":
        return None
    largest = np.abs(array).max(axis=-1)
    if (largest > _HALF_MAX).any():
        return f"column {column.sql} is halfvec, which holds numbers up to {_HALF_MAX:.0f}."
    if (largest <= _HALF_ZERO).any():
        return f"in column {column.sql}, which is halfvec, it would be of zero length."
    return None
