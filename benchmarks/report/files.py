"""The files that the report consists of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import REPOSITORY
from benchmarks.report.conditions import machine_names
from benchmarks.report.markdown_page import markdown
from benchmarks.report.page import page
from benchmarks.report.readme import with_figures
from benchmarks.results import LONG, ON_GPU, Result
from vla_embeddings.errors import InvalidInput

PAGES = REPOSITORY / "docs" / "benchmarks"
README = REPOSITORY / "README.md"


ORDER = (
    "latency",
    "throughput",
    "images",
    "cache",
    "search",
    "startup",
    "memory",
    "concurrency",
    "quality",
)
"""Suites as a reader wants them; others follow by name."""


def pages(results: Sequence[Result]) -> Mapping[str, str]:
    """Names and texts of the pages; none without results."""
    if not results:
        return {}
    ordered = sorted(results, key=_place)
    return {"index.html": page(ordered), "README.md": markdown(ordered)}


def write_pages(results: Sequence[Result], folder: Path) -> list[Path]:
    """The pages in a folder, and where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {folder / name: text for name, text in pages(results).items()}
    for path, text in written.items():
        path.write_text(text)
    return list(written)


def write_report(results: Sequence[Result]) -> list[Path]:
    """The committed pages and the README's figures, and where they are.

    Raises:
        InvalidInput: suites were measured on different processors, whose figures would stand side
            by side as those of one.
    """
    _require_one_machine(results)
    README.write_text(with_figures(README.read_text(), results))
    return [*write_pages(results, PAGES), README]


def _require_one_machine(results: Sequence[Result]) -> None:
    """But for a GPU's, which stand in columns and sections of their own."""
    suites: dict[str, list[str]] = {}
    for each in results:
        if not each.machine.gpu:
            suites.setdefault(machine_names([each]), []).append(each.suite)
    if len(suites) > 1:
        found = "; ".join(f"{', '.join(names)} on {machine}" for machine, names in suites.items())
        raise InvalidInput(
            f"Expected results of one machine; got {found}. The report was left as it was. "
            "Measure all suites here (make bench), restore the others' results "
            "(git checkout benchmarks/results), or look at yours elsewhere: python -m "
            "benchmarks.report --output FOLDER"
        )


def _place(result: Result) -> tuple[int, str]:
    suite = result.suite.removesuffix(LONG).removesuffix(ON_GPU)
    known = ORDER.index(suite) if suite in ORDER else len(ORDER)
    return known, result.suite
