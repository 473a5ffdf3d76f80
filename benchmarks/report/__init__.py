"""Benchmark results as tables on the terminal, and as the pages that people look at."""

from benchmarks.report.conditions import describe
from benchmarks.report.markdown_page import markdown
from benchmarks.report.tables import grids

__all__ = ["describe", "grids", "markdown"]
