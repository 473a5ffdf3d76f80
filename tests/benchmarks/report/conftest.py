"""A browser, where there is one."""

import shutil
from collections.abc import Iterator

import pytest

from tests.benchmarks.report.browser import Browser, start_browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium; skips the test where there is none."""
    found = list(filter(None, map(shutil.which, PROGRAMS)))
    if not found:
        pytest.skip("no Chromium on the path (Debian: apt install chromium)")
    with start_browser(found[0], tmp_path_factory.mktemp("chromium")) as started:
        yield started
