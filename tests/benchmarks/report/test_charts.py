"""Which charts findings make."""

import math
import re
from dataclasses import replace

import pytest

from benchmarks.report.charts import comparisons, curves, without_chart
from benchmarks.report.figure import SHAPES, SLOTS, Look
from benchmarks.report.lines import HEIGHT
from benchmarks.results import Findings, Row, Series, Verdict
from benchmarks.spread import Spread
from tests.benchmarks.report.example import (
    IMAGES,
    INFERENCE,
    LATENCY,
    THROUGHPUT,
    result,
)


def test_bars_stand_best_first_and_tell_ours_and_limits_from_peers() -> None:
    [figure] = comparisons(result("throughput", THROUGHPUT))
    bars = re.findall(r'<li class="(\w+)"><span class="name">([^<]+)', figure.drawing)
    assert bars == [
        ("limit", "int8 GEMM peak"),
        ("limit", "sgemm peak"),
        ("ours", "ours fp32"),
        ("peer", "fastembed"),
    ]
    assert "74 % of sgemm peak" in figure.drawing


def test_the_longest_bar_is_a_contenders_and_limits_beyond_it_are_arrows() -> None:
    [figure] = comparisons(result("throughput", THROUGHPUT))
    assert re.findall(r'"bar" width="([\d.]+%)"', figure.drawing) == ["90.91%", "21.65%"]
    assert figure.drawing.count("<path") == 2
    assert "13,153.0 /s" in figure.drawing
    assert "Arrows point off the scale." in figure.note


def test_the_documents_figure_is_a_bar_of_its_own_and_sets_no_scale() -> None:
    """It is drawn as an arrow where it is longer than all, else as a line across all."""
    instruction, image = comparisons(result("latency", LATENCY))
    for figure, said in ((instruction, "~15 ms"), (image, "~50 ms")):
        assert f'platform document</span><span class="value">{said}' in figure.drawing
    assert instruction.drawing.count("document-line") == 0
    assert instruction.drawing.count("<path") == 1
    assert image.drawing.count("document-line") == 3


def test_what_embedding_adds_is_written_beside_the_bars_with_the_share_in_time() -> None:
    [figure] = comparisons(result("inference", INFERENCE))
    assert re.findall(r'"name">([^<]+)', figure.drawing) == ["embeddings off", "ours, on"]
    assert re.findall("<dt>([^<]+)</dt><dd>([^<]+)", figure.drawing) == [
        ("share with both vectors in time", "0.0200"),
        ("added at p50", "14.60 ms"),
    ]
    assert without_chart(INFERENCE) == []


def test_the_parts_of_one_image_are_stacked_under_its_size_and_the_whole_call() -> None:
    [figure] = curves(IMAGES)
    first, second = figure.drawing.split("1920x1080")
    assert re.findall(r' x="([\d.]+%)" width="([\d.]+%)"', first) == [
        ("0.00%", "1.54%"),
        ("1.54%", "1.03%"),
        ("2.56%", "30.77%"),
    ]
    assert re.findall('"name">([^<]+)</span><span class="value">([^<]+)', first) == [
        ("640x480", "66.00 ms")
    ]
    assert '<span class="value">195 ms' in second, "the sum, as the whole was not measured"
    assert "ours fp32" in figure.note


def test_ours_are_drawn_over_peers_that_step_back() -> None:
    [figure] = curves(LATENCY)
    lines = re.findall(r'class="line ([^"]+)"', figure.drawing)
    assert lines[-1] == "colour-1"
    assert all(line.endswith("muted") for line in lines[:-1])


def test_points_that_their_x_does_not_name_are_labelled_in_drawing_hover_and_table() -> None:
    points = [(0.7, 0.94), (float("nan"), 0.5), (1.4, 0.99)]
    line = Series(
        "recall-ef-search", "ours", "ms", "recall@10", points, labels=["10", "20", "160"]
    )
    [figure] = curves(Findings([], [], [], [line]))
    assert re.findall(r"dy[^>]+>(\d+)</text>", figure.drawing) == ["10", "160"]
    assert "ours\nhnsw.ef_search: 160\nms: 1.4\nrecall@10: 0.99" in figure.drawing
    assert figure.data.columns == ("hnsw.ef_search", "ms", "recall@10")
    assert figure.data.sections == {"ours": [["10", "0.7", "0.94"], ["160", "1.4", "0.99"]]}


def test_a_points_label_never_stands_below_the_chart_among_the_axis_values() -> None:
    points = [(0.6, 0.941), (1.4, 1.0)]
    line = Series("recall-ef-search", "ours", "ms", "recall@10", points, labels=["10", "160"])
    [figure] = curves(Findings([], [], [], [line]))
    labels = re.findall(r' y="([\d.]+)" dx="7" dy="([\d.]+)">(\d+)<', figure.drawing)
    assert [label for *_, label in labels] == ["10", "160"]
    assert all(float(y) + float(below) <= HEIGHT for y, below, _ in labels)


def test_the_legend_shows_shapes_where_all_points_have_room_for_theirs() -> None:
    few = Series("c", "ours", "calls", "ms", [(1, 1), (2, 2)])
    many = Series("c", "peer", "calls", "ms", [(n, 2) for n in range(60)])
    for lines, shapes, dots in (([few], 1 + 2, 0), ([few, many], 0, 2 + 60)):
        [figure] = curves(Findings([], [], [], lines))
        assert figure.drawing.count("#shape-") == shapes
        assert figure.drawing.count("<circle") == dots


@pytest.mark.parametrize("lines", [9, 12, 30])
def test_no_line_has_the_look_of_ours_and_none_anothers_while_there_are_enough(lines: int) -> None:
    looks = [(look.colour, look.shape) for look in map(Look, range(lines))]
    assert looks[0] not in looks[1:]
    assert len(set(looks)) == min(lines, SLOTS) == min(lines, len(SHAPES))


def test_what_a_figure_is_worth_stands_beside_its_bar() -> None:
    one = Spread(1, 1, 1)
    searched = Row("search", "ours", one, "ms", recall=0.9858, share=0.25, limit="round trip")
    other = Row("search", "vecs 0.4.5", one, "ms", recall=0.97)
    [figure] = comparisons(result("search", Findings([searched, other], [], [])))
    notes = re.findall('class="soft">([^<]+)', figure.drawing)
    assert notes == ["recall 0.9858 · 4.0 x the time of round trip", "recall 0.9700"]
    assert "recall 0.9858\n4.0 x the time" in figure.drawing


def test_a_chart_that_nobody_knows_is_drawn_as_lines_under_its_id() -> None:
    [figure] = curves(Findings([], [], [], [Series("p99-by-callers", "a", "x", "y", [(1, 2)])]))
    assert figure.title == "p99 by callers"
    assert "<polyline" in figure.drawing


def test_points_stand_between_their_quartiles_where_these_are_known() -> None:
    """One that is no number takes its quartiles with it."""
    points = [(1.0, math.nan), (2.0, 4.0), (4.0, 8.0)]
    known = Series("c", "ours", "tokens", "ms", points, [0.0, 3.0, 0.0], [9.0, 5.0, 16.0])
    [figure] = curves(Findings([], [], [], [known]))
    upright = re.findall(
        r'"range colour-1" x1="([^"]+)".*? y1="([^"]+)" y2="([^"]+)', figure.drawing
    )
    assert upright == [("0.00%", "204", "180"), ("100.00%", "240", "48")]
    [without] = curves(Findings([], [], [], [replace(known, low=[], high=[])]))
    assert "range" not in without.drawing


def test_memory_is_drawn_from_zero_over_calls_that_go_on_evenly() -> None:
    points = [(5_000.0, 1_036.0), (50_000.0, 1_066.0), (100_000.0, 1_043.0)]
    [figure] = curves(
        Findings([], [], [], [Series("memory-calls", "ours", "calls", "MB", points)])
    )
    ticks = re.findall(r"<text [^>]+>([\d,]+)", figure.drawing)
    assert ticks == [
        *["0", "50,000", "100,000"],
        *["0", "500", "1,000", "1,500"],
    ]


def test_what_cannot_be_compared_is_left_to_the_table() -> None:
    """A figure alone, ours alone, and shares of one; but not what a verdict tells already."""
    one = Spread(1, 1, 1)
    alone, judged = Row("alone", "ours", one, "MB"), Row("judged", "ours", one, "s")
    cosines = [Row("cosine", name, one, "") for name in ("ours fp32", "ours int8")]
    callers = [Row("4 callers", name, one, "ms") for name in ("ours fp32", "ours int8")]
    verdict = Verdict("judged", "ours", None, one, "s", 2, at_most=True)
    findings = Findings([alone, judged, *callers, *cosines], [verdict], [])
    assert list(comparisons(result("all", findings))) == []
    assert without_chart(findings) == [alone, *callers, *cosines]
