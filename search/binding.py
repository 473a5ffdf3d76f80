"""Values on their way into a statement: bound as parameters, with their column's own type."""

import re
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, SupportsInt

import asyncpg
import numpy as np

from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.catalog import Column
from vla_embeddings.search.handles import Connection

WHOLE_NUMBERS = {
    "pg_catalog.int2": ">i2",
    "pg_catalog.int4": ">i4",
    "pg_catalog.int8": ">i8",
    "pg_catalog.oid": ">u4",
}
"""Types of whole numbers, and NumPy's name of their binary form."""

# How asyncpg starts its own messages; the server's may hold such words too, within a value.
_ARGUMENT = re.compile(r"invalid input for query argument \$(\d+): ")
_ELEMENT = re.compile(r"invalid array element at index (\d+): (.*)", re.S)

_ELEMENTS = (int, str, bytes, bytearray, memoryview, tuple, Mapping)


class Parameters:
    """The values `$1`, `$2`, ... of one statement, in order."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._columns: list[Column] = []

    def bind(self, value: object, column: Column) -> str:
        """Add one value of the type of `column`; returns its SQL."""
        return f"{self._add(_fitting(value, column), column)}::{column.type}"

    def bind_many(self, values: list[object], column: Column) -> str:
        """Add an array of such values; returns its SQL."""
        fitting = [_single(_fitting(value, column), column) for value in values]
        return f"{self._add(fitting, column)}::{column.type}[]"

    def bind_vector(self, numbers: list[float], column: Column) -> str:
        """Add one vector; returns its SQL, of type real[].

        asyncpg knows the binary form of real[] without a codec of ours, and the server casts it
        to any of pgvector's types: 50 µs for 384 numbers, against 180 µs as text.
        """
        return f"{self._add(numbers, column)}::real[]"

    def explain(
        self, error: asyncpg.DataError, name: Callable[[int], str] | None = None
    ) -> InvalidInput:
        """A refused value, in terms of the caller's columns; `name(i)` names an array's i-th."""
        place = _ARGUMENT.match(str(error))
        if place is None:  # refused by the server, after it was encoded
            return InvalidInput(f"A value does not fit its column's type: {error}.")
        number = int(place[1]) - 1
        column, value = self._columns[number], self.values[number]
        reason = str(error)[place.end() :]
        row = ""
        if element := _ELEMENT.match(str(error.__cause__)):
            index = int(element[1])
            reason = f"{value[index]!r} ({element[2]})"
            row = f"{name(index)}: " if name else ""
        start = "column" if row else "Column"
        return InvalidInput(f"{row}{start} {column.sql} is of type {column.type}; got {reason}.")

    def _add(self, value: object, column: Column) -> str:
        self.values.append(value)
        self._columns.append(column)
        return f"${len(self.values)}"


async def fetch(
    connection: Connection,
    sql: str,
    parameters: Parameters,
    *,
    name: Callable[[int], str] | None = None,
) -> list[asyncpg.Record]:
    """Run one statement; a value that its column's type cannot hold is InvalidInput.

    One that Python cannot hold is SearchError.

    `name` is as in `Parameters.explain`.
    """
    try:
        records: list[asyncpg.Record] = await connection.fetch(sql, *parameters.values)
    except asyncpg.DataError as error:
        raise parameters.explain(error, name) from error
    except (OverflowError, ValueError) as error:  # of decoding what the server sent
        raise SearchError(
            "A row holds what Python cannot, such as a time before Christ or after the year 9999 "
            f"({error}). Name the columns that you need, or leave such rows out by filters."
        ) from error
    return records


def _fitting(value: object, column: Column) -> object:
    """`value` as a plain one; InvalidInput for a fraction, which asyncpg would cut off."""
    value = plain(value)
    if column.base_type in WHOLE_NUMBERS and _changes_as_int(value):
        raise InvalidInput(f"Column {column.sql} is of type {column.type}; got {value!r}.")
    return value


def _changes_as_int(value: object) -> bool:
    """Whether `value` has an `__int__`, as asyncpg asks for, and is another number by it."""
    # Most are whole, and to ask them by `SupportsInt` would take longer than all the rest.
    if type(value) is int or not isinstance(value, SupportsInt):
        return False
    try:
        return int(value) != value
    except (ArithmeticError, TypeError, ValueError):  # infinite, no number, or several
        return True


def _single(value: object, column: Column) -> object:
    """`value`; InvalidInput where asyncpg would take it for several of the array's elements."""
    if not is_single(value):
        raise InvalidInput(
            f"Column {column.sql} is of type {column.type}; got {value!r}, no single value."
        )
    return value


def is_single(value: object) -> bool:
    """Whether asyncpg takes `value` for one element of an array, and not for an array in it."""
    if isinstance(value, _ELEMENTS):
        return True
    return not (isinstance(value, Sized) and isinstance(value, Iterable))


def plain(value: object) -> object:
    """A NumPy scalar as the Python number it is; asyncpg takes no others."""
    return value.item() if isinstance(value, np.generic) else value
