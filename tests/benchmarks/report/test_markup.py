"""Whatever a suite finds, the page is well-formed."""

from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.report.files import pages
from benchmarks.report.markup import joined, tag
from benchmarks.results import Absence, Findings, Row, Series, Verdict
from benchmarks.spread import Spread
from tests.benchmarks.report.example import result

names = st.text(st.characters(exclude_categories=["C"]), max_size=6)
values = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-6)
unbounded = values | st.sampled_from([float("nan"), float("inf")])
spreads = st.builds(Spread, values, values, values)
units = st.sampled_from(["ms", "/s", "x", "s", "MB", ""])
rows = st.builds(Row, st.just("work"), names | st.just("ours"), spreads, units)
verdicts = st.builds(Verdict, names, names, st.none() | names, spreads, units, values)
points = st.lists(st.tuples(unbounded, unbounded), max_size=4)
series = st.builds(Series, st.sampled_from(["image-cost", "new"]), names, names, names, points)
found = st.builds(
    Findings,
    st.lists(rows, max_size=4),
    st.lists(verdicts, max_size=2),
    st.lists(st.builds(Absence, names, names), max_size=2),
    st.lists(series, max_size=4),
)


@settings(max_examples=40, deadline=None)
@given(found, names)
def test_any_findings_of_any_suite_make_a_page(findings: Findings, suite: str) -> None:
    text = pages([result(suite, findings)])["index.html"]
    main = text[text.index("<main>") : text.index("</main>") + len("</main>")]
    ElementTree.fromstring(main)
    assert "nan%" not in main
    assert "inf%" not in main


def test_text_is_escaped_once_and_markup_is_not() -> None:
    inner = tag("b", {"title": '"<'}, "a & b")
    assert inner == '<b title="&quot;&lt;">a &amp; b</b>'
    assert joined(inner, "<i>") == inner + "&lt;i&gt;"
