"""Which charts findings make."""

import re

from benchmarks.report.charts import charts, without_chart
from benchmarks.results import Findings, Row, Series, Verdict
from benchmarks.spread import Spread
from tests.benchmarks.report.example import IMAGES, THROUGHPUT


def test_bars_stand_best_first_and_tell_ours_and_limits_from_peers() -> None:
    [figure] = charts(THROUGHPUT)
    bars = re.findall(r'<li class="(\w+)"><span class="name">([^<]+)', figure.drawing)
    assert bars == [("limit", "sgemm peak"), ("ours", "ours fp32"), ("peer", "fastembed")]
    assert "74 % of sgemm peak" in figure.drawing


def test_the_parts_of_one_image_are_stacked() -> None:
    [figure] = charts(IMAGES)
    first = figure.drawing[: figure.drawing.index("megapixels: 2.1")]
    assert re.findall(r' x="([\d.]+%)" width="([\d.]+%)"', first) == [
        ("0.00%", "1.54%"),
        ("1.54%", "1.03%"),
        ("2.56%", "30.77%"),
    ]


def test_a_chart_that_nobody_knows_is_drawn_as_lines_under_its_id() -> None:
    [figure] = charts(Findings([], [], [], [Series("p99-by-callers", "a", "x", "y", [(1, 2)])]))
    assert figure.title == "p99 by callers"
    assert "<polyline" in figure.drawing


def test_what_cannot_be_compared_is_left_to_the_table() -> None:
    """A figure alone, ours alone, and shares of one; but not what a verdict tells already."""
    one = Spread(1, 1, 1)
    alone, judged = Row("alone", "ours", one, "MB"), Row("judged", "ours", one, "s")
    cosines = [Row("cosine", name, one, "") for name in ("ours fp32", "ours int8")]
    callers = [Row("4 callers", name, one, "ms") for name in ("ours fp32", "ours int8")]
    verdict = Verdict("judged", "ours", None, one, "s", 2, at_most=True)
    findings = Findings([alone, judged, *callers, *cosines], [verdict], [])
    assert list(charts(findings)) == []
    assert without_chart(findings) == [alone, *callers, *cosines]
