"""The figures that most readers came for, in large letters."""

from collections.abc import Sequence

from benchmarks.report.document import Call, calls
from benchmarks.report.markup import Markup, tag
from benchmarks.report.words import kept
from benchmarks.results import Result


def tiles(results: Sequence[Result]) -> Markup:
    """One for each model and precision, one call at a time."""
    return tag("ul", {"class": "tiles"}, *[_tile(call) for call in calls(results)])


def _tile(call: Call) -> Markup:
    return tag(
        "li",
        {"class": "card"},
        tag("strong", {}, call.p50),
        tag("span", {}, f"{call.row.work}, {call.precision}"),
        tag("span", {"class": "soft"}, _quality(call)),
        tag("span", {"class": "soft"}, f"document: ~{call.document:g} ms"),
    )


def _quality(call: Call) -> str:
    """What is left of fp32's vectors and, for instructions, of their neighbours."""
    neighbours = kept(call.row)
    return f"cosine {call.cosine}" + (f", {neighbours} of neighbours kept" if neighbours else "")
