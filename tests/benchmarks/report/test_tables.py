"""Findings as tables."""

from dataclasses import replace

from rich.console import Console

from benchmarks.peers.encoders import ENCODERS
from benchmarks.report.curves import by_chart, series_grid
from benchmarks.report.document import document_table
from benchmarks.report.files import pages
from benchmarks.report.grid import Grid
from benchmarks.report.markdown_page import markdown
from benchmarks.report.page import describe_run
from benchmarks.report.tables import grids
from benchmarks.report.tiles import tiles
from benchmarks.report.verdicts import verdicts
from benchmarks.report.weights import cosine, figure_of
from benchmarks.results import RESULTS as COMMITTED
from benchmarks.results import Absence, Findings, Row, Series, Verdict, load_results
from benchmarks.spread import Spread
from benchmarks.targets import ONE_INSTRUCTION
from tests.benchmarks.report.example import (
    LATENCY,
    MACHINE,
    RESULTS,
    THROUGHPUT,
    exactly,
    result,
    row,
)


def test_the_documents_table_has_our_figures_beside_the_documents() -> None:
    table = document_table(RESULTS)
    assert table is not None
    [rows] = table.sections.values()
    assert [[*row[:3], *row[5:8]] for row in rows] == [
        ["all-MiniLM-L6-v2", "384", "fp32", "3.10 ms", "4.03 ms", "~15 ms"],
        ["all-MiniLM-L6-v2", "384", "int8", "1.90 ms", "2.47 ms", "~15 ms"],
        ["clip-vit-base-patch32", "512", "fp32", "62.00 ms", "80.60 ms", "~50 ms"],
    ]


def test_the_documents_table_tells_what_int8_keeps_and_which_weights_are_untrained() -> None:
    table = document_table(RESULTS)
    assert table is not None
    [rows] = table.sections.values()
    assert table.columns[3:5] == ("cosine to fp32", "neighbours kept")
    assert [row[2:5] for row in rows] == [
        ["fp32", "1.0000 of 16", ""],
        ["int8", "0.9926 of 5,000", "95.6 %"],
        ["fp32", "1.0000 of 16\n(untrained)", ""],
    ]
    assert "cosine 0.9926 of 5,000, 95.6 % of neighbours kept" in tiles(RESULTS)


def test_a_cosine_of_untrained_weights_is_marked_and_the_reader_told_once() -> None:
    work, model = "cosine to fp32 of 160 pictures, the lowest", "clip-vit-base-patch32"
    one = Spread(0.9996, 0.9996, 0.9996)
    verdict = Verdict(work, "ours int8", None, one, "", 0.998, at_most=False, model=model)
    seeded = result(
        "quality", Findings([Row(work, "ours int8", one, "", model=model)], [verdict], [])
    )
    learnt = replace(seeded, weights=dict.fromkeys(seeded.weights, "trained"))
    for run, said in ((seeded, "0.9996 (untrained)"), (learnt, "0.9996")):
        rows = [cells for grid in grids(run) for cells in grid.sections[work]]
        assert [said in cells for cells in rows] == [True, True]
    assert markdown([seeded]).count("do not carry over") == 1
    assert "do not carry over" not in markdown([learnt])


def test_no_cosine_of_the_committed_results_hides_that_its_weights_are_untrained() -> None:
    for measured in load_results(COMMITTED):
        found: list[Row | Verdict] = [*measured.findings.rows, *measured.findings.verdicts]
        for each in found:
            said = [figure_of(each, measured)]
            if isinstance(each, Row) and each.quality is not None:
                assert each.model in measured.weights
                said.append(cosine(each, measured))
            untrained = each.model == "clip-vit-base-patch32"
            assert any("(untrained)" in text for text in said) is untrained


def test_a_call_on_a_gpu_fills_the_columns_of_the_gpu() -> None:
    on_gpu = row(ONE_INSTRUCTION, "ours fp16, cuda", 0.8, document=3)
    table = document_table([*RESULTS, result("gpu", Findings([on_gpu], [], []))])
    assert table is not None
    [rows] = table.sections.values()
    assert [[cells[2], *cells[5:10]] for cells in rows if cells[1] == "384"] == [
        ["fp32", "3.10 ms", "4.03 ms", "~15 ms", "", ""],
        ["int8", "1.90 ms", "2.47 ms", "~15 ms", "", ""],
        ["fp16, cuda", "", "", "~15 ms", "0.80 ms", "1.04 ms"],
    ]
    assert [cells[8] for cells in rows if cells[1] == "512"] == ["not measured"]


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
    titles = [grid.title for grid in grids(result("latency", LATENCY))]
    assert titles == ["Figures", "Latency against tokens: milliseconds", "Not measured"]
    judged = list(grids(result("throughput", THROUGHPUT)))[-1]
    assert [row[1] for rows in judged.sections.values() for row in rows] == [
        "pass",
        "FAIL within the noise",
    ]


def test_a_verdict_says_which_way_its_ratio_goes_and_calls_a_limits_a_share() -> None:
    one = Spread(0.3, 0.5, 0.7)
    slower = Verdict("one call", "ours", "redis-py", one, "x", 1.6, at_most=True)
    added = Verdict("one call", "ours", "redis-py", one, "ms", 1, at_most=True)
    measured = result("all", replace(THROUGHPUT, verdicts=[*THROUGHPUT.verdicts, slower, added]))
    rows = [cells for rows in verdicts([measured]).sections.values() for cells in rows]
    assert [[cells[0], *cells[2:]] for cells in rows] == [
        ["ours fp32, times as fast as fastembed", "4.20 x", "≥ 3.3 x", "3.78–4.62"],
        ["ours fp32, share of sgemm peak", "74 %", "≥ 80 %", "67–81"],
        ["ours, of the time of redis-py", "0.50 x", "≤ 1.6 x", "0.30–0.70"],
        ["ours minus redis-py", "0.50 ms", "≤ 1 ms", "0.30–0.70"],
    ]


def test_a_bound_below_one_is_not_shown_as_one() -> None:
    parity = Verdict("parity", "ours", None, Spread(1, 1, 1), "", 0.99999, at_most=False)
    [[cells]] = verdicts([result("all", Findings([], [parity], []))]).sections.values()
    assert cells[3] == "≥ 0.99999"


def test_a_verdict_whose_interval_holds_its_bound_is_within_the_noise() -> None:
    def outcome(low: float, high: float, against: str | None = "fastembed") -> str:
        spread = Spread(low, (low + high) / 2, high)
        verdict = Verdict("bulk", "ours", against, spread, "x", 3.3, at_most=False)
        [[cells]] = verdicts([result("all", Findings([], [verdict], []))]).sections.values()
        return cells[1]

    assert outcome(2.9, 4.0) == "pass within the noise"
    assert outcome(2.9, 3.5) == "FAIL within the noise"
    assert (outcome(3.4, 4.0), outcome(2.0, 3.0)) == ("pass", "FAIL")
    assert outcome(2.9, 4.0, against=None) == "pass", "the quartiles are no interval"


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


def test_a_contenders_name_in_brackets_is_no_markup_on_the_terminal() -> None:
    console = Console(width=80)
    with console.capture() as shown:
        console.print(Grid("", ("tokens", "peer[gpu]"), {"": [["8", "[/1]"]]}).for_terminal())
    assert "peer[gpu]" in shown.get()
    assert "[/1]" in shown.get()


def test_a_heading_is_whole_on_the_terminal_also_above_a_narrow_table() -> None:
    console = Console(width=80)
    with console.capture() as shown:
        console.print(
            Grid("", ("x", "ms"), {"tokenize one instruction": [["ours", "1"]]}).for_terminal()
        )
    assert "tokenize one instruction\n" in shown.get()


def test_a_peers_reason_is_read_whole_in_markdown_also_where_it_looks_like_html() -> None:
    absence = Absence("peer", "no <class 'int'>")
    assert "| peer | no &lt;class 'int'&gt; |" in markdown(
        [result("latency", Findings([], [], [absence]))]
    )


def test_the_markdown_page_says_all_that_the_tables_say() -> None:
    text = markdown(RESULTS)
    for suite in RESULTS:
        for grid in grids(suite):
            assert grid.for_markdown() in text
    assert "| commit | abc1234 |" in text


def test_the_page_tells_how_each_peer_is_set_up() -> None:
    text = markdown(RESULTS)
    assert "## How peers are set up" in text
    for (_, name), adapter in ENCODERS.items():
        assert f"| {name} | {adapter.package} |" in text
    assert "weights it turns into int8" in text
    assert "| vecs | vecs |" in text


def test_the_page_tells_the_versions_that_a_peer_ran_on() -> None:
    runs_on = {"vecs 0.4.5": {"psycopg2-binary": "2.9.13", "pgvector": "0.3.6"}}
    text = markdown([result("search", Findings([], [], [], runs_on=runs_on))])
    assert "| psycopg2-binary 2.9.13, pgvector 0.3.6 |" in text


def test_the_page_tells_the_versions_of_the_plain_clients_that_were_measured() -> None:
    measured = result(
        "cache", Findings([exactly("one hit in Redis", "redis-py GET", 0.1, "ms")], [], [])
    )
    packages = {"numpy": "2.4.6", "redis": "8.1.0", "hiredis": "3.5.0", "asyncpg": "0.32.0"}
    text = markdown([replace(measured, machine=replace(MACHINE, packages=packages))])
    [redis_py] = [line for line in text.splitlines() if line.startswith("| redis-py | redis |")]
    assert redis_py.endswith("| redis 8.1.0, hiredis 3.5.0 |")
    [asyncpg] = [line for line in text.splitlines() if line.startswith("| asyncpg | asyncpg |")]
    assert asyncpg.endswith("|  |"), "it was not measured in that run"


def test_a_suites_line_tells_how_much_other_work_there_was_where_it_is_known() -> None:
    measured = result("memory", Findings([], [], []))
    assert describe_run(measured).endswith(" in 61 s.")
    busy = replace(measured, others=0.429)
    assert describe_run(busy).endswith(" in 61 s; other work took 42.9 % of the CPUs.")
