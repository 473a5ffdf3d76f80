"""Where a row is in its table's order: the primary key, of one column or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.catalog import Column

Key: TypeAlias = tuple[Any, ...]
"""The values of the primary key's columns, in their order."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The rows after one key and up to another; None is the table's own end."""

    after: Key | None = None
    until: Key | None = None

    def conditions(self, columns: Sequence[Column], parameters: Parameters) -> list[str]:
        """The SQL conditions of a row `t` within; the bounds are added to `parameters`."""
        key = ", ".join(f"t.{column.sql}" for column in columns)
        bounds = ((">", self.after), ("<=", self.until))
        return [
            f"({key}) {operator} ({_bound(bound, columns, parameters)})"
            for operator, bound in bounds
            if bound is not None
        ]


ALL_KEYS = KeyRange()


def _bound(bound: Key, columns: Sequence[Column], parameters: Parameters) -> str:
    return ", ".join(parameters.bind(*pair) for pair in zip(bound, columns, strict=True))
