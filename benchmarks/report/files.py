"""The files that the report consists of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import REPOSITORY
from benchmarks.report.markdown_page import markdown
from benchmarks.report.page import page
from benchmarks.report.readme import with_figures
from benchmarks.results import LONG, ON_GPU, Result

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
    """The committed pages and the README's figures, and where they are."""
    README.write_text(with_figures(README.read_text(), results))
    return [*write_pages(results, PAGES), README]


def _place(result: Result) -> tuple[int, str]:
    suite = result.suite.removesuffix(LONG).removesuffix(ON_GPU)
    known = ORDER.index(suite) if suite in ORDER else len(ORDER)
    return known, result.suite
