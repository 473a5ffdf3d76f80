"""The README's figures."""

import pytest

from benchmarks.report.files import PAGES, README, pages
from benchmarks.report.readme import BEGIN, END, with_figures
from benchmarks.results import RESULTS as COMMITTED
from benchmarks.results import Findings, Verdict, load_results
from benchmarks.spread import Spread
from tests.benchmarks.report.example import RESULTS, result
from vla_embeddings.errors import InvalidInput


def test_the_committed_report_is_what_the_committed_results_give() -> None:
    """Where this fails, `python -m benchmarks.report` writes it again."""
    results = load_results(COMMITTED)
    readme = README.read_text()
    assert readme == with_figures(readme, results)
    assert {path.name: path.read_text() for path in PAGES.glob("*")} == pages(results)


def test_figures_take_the_place_of_those_that_were_there() -> None:
    once = with_figures(f"# Title\n\n{BEGIN}\nold\n{END}\n\n## Next\n", RESULTS)
    assert once == with_figures(once, RESULTS)
    assert "old" not in once
    assert once.startswith("# Title\n")
    assert once.endswith("\n\n## Next\n")


def test_single_calls_stand_beside_the_document_and_bulk_beside_the_peers() -> None:
    text = with_figures(f"{BEGIN}\n{END}", RESULTS)
    peer = "12.00 ms, a-library-of-a-long-name 12.34.56 (with its own graph)"
    called = "| all-MiniLM-L6-v2, int8 | 1.90 ms | 2.47 ms"
    assert f"{called} | {peer} | ~15 ms | 0.9926 of 5,000 | 95.6 % |" in text
    assert (
        "| instructions in bulk, fp32 | 1,054.0 /s | 251.0 /s, fastembed | fastembed: 4.20 "
        "| 74 % of sgemm peak |" in text
    )
    assert "Example CPU, 2 CPUs; 31 January 2026. Untrained weights for clip-vit-" in text
    assert "| 1.0000 of 16 (untrained) |" in text
    assert "[1 of 3 targets reached, 1 of the verdicts within the noise](docs/benchmarks" in text
    assert "do not carry over to trained ones" in text


def test_the_readmes_link_to_missed_targets_leads_there_also_where_none_is_missed() -> None:
    passed = Verdict("bulk", "ours", None, Spread(1, 1, 1), "ms", 2, at_most=True)
    results = [result("throughput", Findings([], [passed], []))]
    assert "README.md#missed-targets" in with_figures(f"{BEGIN}\n{END}", results)
    assert "## Missed targets\n\n1 of 1 targets reached.\n\n## " in pages(results)["README.md"]


def test_without_results_the_readme_says_how_to_get_them() -> None:
    assert "`make bench`" in with_figures(f"{BEGIN}\n{END}", [])


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_the_two_markers_is_left_alone(readme: str) -> None:
    with pytest.raises(InvalidInput, match="Put them back"):
        with_figures(readme, RESULTS)
