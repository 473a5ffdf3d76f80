"""A customer's id in SQL: text to the platform's code, of any type in its tables."""

from vla_embeddings.search.catalog import Column


def as_customer(text: str, column: Column) -> str:
    """SQL that compares with, or goes into, a column of customers' ids.

    Character types take text as it is. A cast to one of limited length would cut the id off, and
    make it another customer's perhaps.

    Args:
        text: SQL of type text.
    """
    return text if column.type.startswith("character") else f"{text}::{column.type}"
