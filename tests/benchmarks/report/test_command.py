"""`python -m benchmarks.report`."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.report.__main__ import app
from benchmarks.report.files import README, write_report
from tests.benchmarks.report.example import RESULTS
from vla_embeddings.errors import InvalidInput


def _run(results: Path, output: Path) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["--results", str(results), "--output", str(output)])
    return answer.exit_code, answer.output


def test_results_from_elsewhere_make_pages_elsewhere_and_leave_the_readme_alone(
    tmp_path: Path,
) -> None:
    readme = README.read_text()
    for result in RESULTS:
        result.save(tmp_path / "results")
    status, printed = _run(tmp_path / "results", tmp_path / "pages")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "README.md",
        "index.html",
    ]
    assert str(tmp_path / "pages" / "index.html") in printed
    assert README.read_text() == readme


def test_a_file_cut_short_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    for result in RESULTS:
        result.save(tmp_path / "results")
    cut = tmp_path / "results" / "search.json"
    cut.write_text(cut.read_text()[:100])
    status, printed = _run(tmp_path / "results", tmp_path / "pages")
    assert status == 1
    assert f"{cut} is no result of a benchmark suite" in printed
    assert not (tmp_path / "pages").exists()


def test_results_of_two_machines_are_not_written_into_the_committed_report() -> None:
    readme, elsewhere = README.read_text(), replace(RESULTS[0].machine, cpu="Another CPU")
    mixed = [replace(RESULTS[0], machine=elsewhere), *RESULTS[1:]]
    with pytest.raises(InvalidInput, match="got a suite of tomorrow on Another CPU, 2 CPUs; im"):
        write_report(mixed)
    assert README.read_text() == readme


def test_where_nothing_was_measured_it_says_what_to_do(tmp_path: Path) -> None:
    status, printed = _run(tmp_path, tmp_path / "pages")
    assert (status, "make bench" in printed) == (1, True)
