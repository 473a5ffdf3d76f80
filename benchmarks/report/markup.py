"""HTML and SVG as text that is escaped where it is made."""

from collections.abc import Mapping
from html import escape
from types import MappingProxyType


class Markup(str):
    """Text that is markup already; any other `str` in it has been escaped."""

    __slots__ = ()


Attributes = Mapping[str, str | float]
NONE: Attributes = MappingProxyType({})


def tag(name: str, attributes: Attributes = NONE, *children: str) -> Markup:
    """An element; children that are no `Markup` are escaped."""
    written = "".join(f' {key}="{escape(_text(value))}"' for key, value in attributes.items())
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """One after the other, escaped like `tag`'s."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    )


def percent(share: float) -> str:
    """A share of the width there is, as a length."""
    return f"{100 * share:.2f}%"


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
