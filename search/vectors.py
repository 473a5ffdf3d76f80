"""Vectors on their way into a statement: checked by NumPy before anything is sent."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import DimensionMismatch, InvalidInput
from vla_embeddings.search.catalog import Column

Vector: TypeAlias = NDArray[np.floating] | Sequence[float]

# pgvector's own limit of a stored vector.
MAX_DIMENSION = 16_000


def checked(vector: object, column: Column, *, what: str) -> NDArray[np.float32]:
    """`vector` as float32 of shape (d,), fit for `column`; `what` names it in messages.

    Raises:
        DimensionMismatch: another length than the column's.
        InvalidInput: not numeric, not finite, of zero length (it has no direction, and cosine
            indexes leave it out), or too large for a halfvec column.
    """
    array = _numbers(vector, what)
    if array.ndim != 1:
        raise InvalidInput(f"{what}: expected one vector of shape (d,); got shape {array.shape}.")
    expected = column.dimension or array.size
    if array.size != expected or not 0 < array.size <= MAX_DIMENSION:
        raise DimensionMismatch(
            f"{what}: column {column.sql} holds vectors of {expected or 'some'} dimensions; "
            f"got {array.size}."
        )
    with np.errstate(over="ignore"):  # a number above float32's range becomes inf, found below
        single = array.astype(np.float32)
    if fault := _fault(single, column):
        raise InvalidInput(f"{what}: {fault}")
    return single


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
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float32, copy=False)
    if _fault(matrix, column):
        return _one_by_one(vectors, column, name)
    return matrix


def _one_by_one(
    vectors: Sequence[object], column: Column, name: Callable[[int], str]
) -> NDArray[np.float32]:
    rows = [checked(vector, column, what=name(n)) for n, vector in enumerate(vectors)]
    lengths = {row.size for row in rows}
    if len(lengths) > 1:
        raise DimensionMismatch(f"Vectors of one batch have different lengths: {sorted(lengths)}.")
    return np.stack(rows)


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


def _fault(array: NDArray[np.float32], column: Column) -> str | None:
    """What is wrong with one vector, or with any row of a matrix."""
    with np.errstate(over="ignore", invalid="ignore"):
        # In float32, as pgvector sums: whatever would make its distance NaN shows here.
        squares = np.einsum("...d,...d->...", array, array)
    if not np.isfinite(squares).all():
        return "it holds NaN, infinity or numbers too large for pgvector's float32 arithmetic."
    if not squares.all():
        return "it is of zero length, so it has no direction."
    limit = float(np.finfo(np.float16).max)
    if column.vector_type == "halfvec" and np.abs(array).max() > limit:
        return f"column {column.sql} is halfvec, which holds numbers up to {limit:.0f}."
    return None
