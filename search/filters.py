"""`filters={...}` -> SQL conditions with bound values."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.catalog import Column, Table

Filters: TypeAlias = Mapping[str, object]
"""`{column: value | list | None | {operator: value}}`; every condition must hold.

A value means equal, a list means one of, None means NULL. Operators: eq, ne, lt, lte, gt, gte,
in, not_in, like, ilike, is_null. `ne` and `not_in` keep rows whose column is NULL, as Python's
`!=` would.
"""

_COMPARISONS = {
    "eq": "=",
    "ne": "IS DISTINCT FROM",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
}
_PATTERNS = {"like": "LIKE", "ilike": "ILIKE"}


def filtered(filters: Filters | None) -> tuple[str, ...]:
    """The columns that `filters` names; InvalidInput where it is no mapping."""
    if filters is None:
        return ()
    if not isinstance(filters, Mapping):
        raise InvalidInput(f"filters must map columns to values; got {type(filters).__name__}.")
    return tuple(filters)


def conditions(filters: Filters | None, table: Table, parameters: Parameters) -> list[str]:
    """One SQL condition for each that `filters` names; values are added to `parameters`.

    Raises:
        UnknownName: a column that the table lacks.
        InvalidInput: an unknown operator, or a value of the wrong kind for its operator.
    """
    return [
        _condition(table.scalar_column(name), operator, value, parameters)
        for name, wanted in (filters or {}).items()
        for operator, value in _operators(wanted)
    ]


def _operators(wanted: object) -> list[tuple[object, object]]:
    if wanted is None:
        return [("is_null", True)]
    if isinstance(wanted, list | tuple | set | frozenset):
        return [("in", wanted)]
    if isinstance(wanted, Mapping):
        if not wanted:
            raise InvalidInput(f"An empty filter; name an operator: {', '.join(_OPERATORS)}.")
        return list(wanted.items())
    return [("eq", wanted)]


def _condition(column: Column, operator: object, value: object, parameters: Parameters) -> str:
    build = _OPERATORS.get(operator) if isinstance(operator, str) else None
    if build is None:
        raise InvalidInput(
            f"Column {column.sql}: there is no operator {operator!r}; use {', '.join(_OPERATORS)}."
        )
    return build(column, value, parameters)


def _comparison(operator: str) -> Callable[[Column, object, Parameters], str]:
    def build(column: Column, value: object, parameters: Parameters) -> str:
        if value is None:
            raise InvalidInput(f'Column {column.sql}: compare with None by {{"is_null": True}}.')
        return f"t.{column.sql} {operator} {parameters.bind(value, column)}"

    return build


def _pattern(operator: str) -> Callable[[Column, object, Parameters], str]:
    def build(column: Column, value: object, parameters: Parameters) -> str:
        if not isinstance(value, str):
            raise InvalidInput(f"Column {column.sql}: a pattern must be a string; got {value!r}.")
        return f"t.{column.sql} {operator} {parameters.bind(value, column)}"

    return build


def _one_of(column: Column, value: object, parameters: Parameters) -> str:
    return f"t.{column.sql} = ANY ({parameters.bind_many(_values(column, value), column)})"


def _none_of(column: Column, value: object, parameters: Parameters) -> str:
    array = parameters.bind_many(_values(column, value), column)
    return f"(t.{column.sql} <> ALL ({array})) IS NOT FALSE"


def _values(column: Column, value: object) -> list[object]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise InvalidInput(f"Column {column.sql}: a list of values is needed; got {value!r}.")
    if any(each is None for each in value):
        raise InvalidInput(f"Column {column.sql}: a list cannot hold None; use is_null.")
    return list(value)


def _is_null(column: Column, value: object, parameters: Parameters) -> str:
    if not isinstance(value, bool):
        raise InvalidInput(f"Column {column.sql}: is_null takes True or False; got {value!r}.")
    return f"t.{column.sql} IS {'NULL' if value else 'NOT NULL'}"


_OPERATORS: dict[str, Callable[[Column, object, Parameters], str]] = {
    **{name: _comparison(operator) for name, operator in _COMPARISONS.items()},
    "in": _one_of,
    "not_in": _none_of,
    **{name: _pattern(operator) for name, operator in _PATTERNS.items()},
    "is_null": _is_null,
}
