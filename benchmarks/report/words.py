"""Figures in words: the digits that mean something, and the unit."""

from collections.abc import Collection, Mapping

from benchmarks.results import LONG, ON_GPU, Row, Unit
from benchmarks.spread import Spread

DIGITS: Mapping[Unit, str] = {
    "ms": ".2f",
    "/s": ",.1f",
    "x": ".2f",
    "s": ".2f",
    "MB": ",.0f",
    "GFLOP/s": ",.0f",
    "GOP/s": ",.0f",
    "GB/s": ".1f",
}

SMALL: Collection[Unit] = ("ms", "s")
"""Units whose small values keep two significant digits."""


def number(value: float | None, unit: Unit) -> str:
    """With the digits usual for the unit; nothing for None."""
    if value is None:
        return ""
    if unit == "" and float(value).is_integer():
        return f"{value:.0f}"
    if unit in SMALL and 0 < abs(value) < 0.1:
        return f"{value:.2g}"
    return format(value, DIGITS.get(unit, ".4f"))


def quantity(value: float, unit: Unit) -> str:
    """The number and its unit."""
    return f"{number(value, unit)} {unit}".strip()


def spread_range(spread: Spread, unit: Unit) -> str:
    """Its ends; nothing for a single value."""
    if spread.low == spread.high:
        return ""
    to = "–" if spread.low >= 0 else " to "
    return f"{number(spread.low, unit)}{to}{number(spread.high, unit)}"


def share(row: Row) -> str:
    """How near it is to a limit of the machine: a speed as a share, a time as a multiple."""
    if row.share is None:
        return ""
    if row.unit == "/s":
        return f"{100 * row.share:.0f} % of {row.limit}"
    times = 1 / row.share
    return f"{times:.{0 if times >= 10 else 1}f} x the time of {row.limit}"


def kept(row: Row) -> str:
    """The share of nearest neighbours that it keeps; nothing where none was counted."""
    return "" if row.neighbours is None else f"{100 * row.neighbours:.3g} %"


def capitalized(text: str) -> str:
    """With a capital first letter where that is a word's, not a function's."""
    first, _, _ = text.partition(" ")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def title_of_suite(suite: str) -> str:
    """The heading of its results."""
    short = suite.removesuffix(LONG)
    name = short.removesuffix(ON_GPU)
    where, length = " on a GPU" if name != short else "", ", long run" if short != suite else ""
    return f"{capitalized(f'{name}{where}')}{length}"


def rounded(value: float) -> str:
    """A value of a chart: four significant digits, whole from 1,000 on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
