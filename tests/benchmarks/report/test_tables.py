"""Findings as tables."""

from dataclasses import replace

from benchmarks.report.curves import by_chart, series_grid
from benchmarks.report.document import document_table
from benchmarks.report.files import pages
from benchmarks.report.grid import Grid
from benchmarks.report.markdown_page import markdown
from benchmarks.report.tables import grids
from benchmarks.results import Findings, Series
from benchmarks.targets import ONE_INSTRUCTION
from tests.benchmarks.report.example import LATENCY, RESULTS, THROUGHPUT, result, row


def test_the_documents_table_has_our_figures_beside_the_documents() -> None:
    table = document_table(RESULTS)
    assert table is not None
    [rows] = table.sections.values()
    assert [row[:6] for row in rows] == [
        ["all-MiniLM-L6-v2", "384", "fp32", "3.10 ms", "4.03 ms", "~15 ms"],
        ["all-MiniLM-L6-v2", "384", "int8", "1.90 ms", "2.47 ms", "~15 ms"],
        ["clip-vit-base-patch32", "512", "fp32", "62.00 ms", "80.60 ms", "~50 ms"],
    ]


def test_a_call_on_a_gpu_fills_the_columns_of_the_gpu() -> None:
    on_gpu = row(ONE_INSTRUCTION, "ours fp16, cuda", 0.8, document=3)
    table = document_table([*RESULTS, result("gpu", Findings([on_gpu], [], []))])
    assert table is not None
    [rows] = table.sections.values()
    assert [cells[2:8] for cells in rows if cells[1] == "384"] == [
        ["fp32", "3.10 ms", "4.03 ms", "~15 ms", "", ""],
        ["int8", "1.90 ms", "2.47 ms", "~15 ms", "", ""],
        ["fp16, cuda", "", "", "~15 ms", "0.80 ms", "1.04 ms"],
    ]
    assert [cells[6] for cells in rows if cells[1] == "512"] == ["not measured"]


def test_suites_of_a_gpu_follow_those_of_the_cpu_and_name_it() -> None:
    on_gpu = row(ONE_INSTRUCTION, "ours fp16, cuda", 0.8, document=3)
    measured = result("latency-gpu", Findings([on_gpu], [], []))
    machine = replace(measured.machine, gpu="NVIDIA H100, driver 580.1")
    pages_of = pages([replace(measured, machine=machine), *RESULTS])
    text = pages_of["README.md"]
    assert text.index("## Latency\n") < text.index("## Latency on a GPU\n")
    assert text.index("## Latency on a GPU\n") < text.index("## Throughput\n")
    assert "NVIDIA H100, driver 580.1" in text
    assert "NVIDIA H100, driver 580.1 (Example CPU, 2 CPUs)" in pages_of["index.html"]


def test_a_suites_tables_show_figures_charts_verdicts_and_who_was_missing() -> None:
    titles = [grid.title for grid in grids(LATENCY)]
    assert titles == ["Figures", "Latency against tokens: milliseconds", "Not measured"]
    verdicts = list(grids(THROUGHPUT))[-1]
    assert [row[1] for rows in verdicts.sections.values() for row in rows] == ["pass", "FAIL"]


def test_series_of_the_same_x_share_rows_and_others_do_not() -> None:
    shared = [Series("c", name, "tokens", "ms", [(8, 1.5), (16, 3)]) for name in "ab"]
    assert series_grid(shared).sections == {"": [["8", "1.5", "1.5"], ["16", "3", "3"]]}
    apart = [
        Series("c", "a", "ms", "recall", [(1, 0.9)]),
        Series("c", "b", "ms", "recall", [(2, 1)]),
    ]
    assert series_grid(apart).sections == {"a": [["1", "0.9"]], "b": [["2", "1"]]}


def test_points_that_are_no_numbers_are_left_out_and_ours_come_first() -> None:
    charts = by_chart(
        [
            Series("c", "peer", "x", "y", [(1, float("inf")), (2, 3)]),
            Series("c", "ours", "x", "y", [(1, 1)]),
            Series("d", "peer", "x", "y", [(float("nan"), 1)]),
        ]
    )
    assert {name: [(each.subject, each.points) for each in c] for name, c in charts.items()} == {
        "c": [("ours", [(1, 1)]), ("peer", [(2, 3)])]
    }


def test_a_cell_cannot_break_its_markdown_table() -> None:
    table = Grid("", ("a|b", "c"), {"": [["one\ntwo", "3|4"]]}).for_markdown()
    assert table.splitlines()[-1] == "| one two | 3\\|4 |"


def test_the_markdown_page_says_all_that_the_tables_say() -> None:
    text = markdown(RESULTS)
    for suite in RESULTS:
        for grid in grids(suite.findings):
            assert grid.for_markdown() in text
    assert "| commit | abc1234 |" in text
