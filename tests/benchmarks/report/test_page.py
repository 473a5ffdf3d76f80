"""The page in a real browser."""

import itertools
import re
from pathlib import Path

import pytest

from benchmarks.report.charts import comparisons, curves
from benchmarks.report.figure import SLOTS
from benchmarks.report.files import write_pages
from benchmarks.report.page import FOLDER, page
from benchmarks.report.words import title_of_suite
from benchmarks.results import RESULTS as COMMITTED
from benchmarks.results import Findings, Series, load_results
from tests.benchmarks.report.browser import Browser
from tests.benchmarks.report.example import HOSTILE, RESULTS, SEARCH, result

WINDOWS = list(itertools.product((390, 1280), (False, True)))
COMPLAINTS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")

DRAWN = """
Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => {
  const sizes = [...figure.querySelectorAll("[data-label]")].map((mark) => {
    const box = mark.getBoundingClientRect();
    return Math.min(box.width, box.height);
  });
  const lines = [...figure.querySelectorAll("polyline")];
  return [figure.querySelector("h3").textContent, {
    marks: sizes.length,
    smallest: Math.min(...sizes),
    lines: lines.length,
    shortest: Math.min(...lines.map((line) => line.getTotalLength())),
  }];
}))
"""
OUTSIDE = """
[...document.querySelectorAll("main *, header *")]
  .filter((each) => !each.closest(".scroll") && each.getBoundingClientRect().right > innerWidth)
  .map((each) => each.outerHTML.slice(0, 80))
"""
WIDER_THAN_ITS_BOX = """
[...document.querySelectorAll(".scroll")].some((box) => box.scrollWidth > box.clientWidth)
"""
SECTIONS = "[...document.querySelectorAll('section > h2')].map((heading) => heading.textContent)"
MARKS = """
[...document.querySelectorAll("figure")].map((figure) => [
  figure.querySelector("h3").textContent, figure.querySelectorAll("[data-label]").length
])
"""
FITS_ITS_BOX = """
(() => {
  const box = document.querySelector("section table.wide").closest(".scroll");
  return box.scrollWidth <= box.clientWidth;
})()
"""
LAST_CARDS_EDGES = """
[...new Set([...document.querySelectorAll(".cards")].map((cards) =>
  Math.round(cards.getBoundingClientRect().right - cards.lastChild.getBoundingClientRect().right)
))]
"""
MARK = """
(async () => {
  const figure = document.querySelector("polyline").closest("figure");
  const mark = [...figure.querySelectorAll("[data-label]")].at(-1);  // which lies on another
  mark.scrollIntoView({block: "center"});
  for (const _ of "12") await new Promise(requestAnimationFrame);  // until scrolling is over
  const box = mark.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2, mark.dataset.label];
})()
"""
MISTAKEN = """
[...document.querySelectorAll("figure")].flatMap((figure) => {
  figure.scrollIntoView();
  const marks = [...figure.querySelectorAll("[data-label]")];
  const middles = marks.map((mark) => {
    const box = mark.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  });
  return marks.filter((mark, number) => {
    const [clientX, clientY] = middles[number];
    figure.dispatchEvent(new PointerEvent("pointermove", {clientX, clientY}));
    const said = document.querySelector("#label").textContent;
    const told = marks.findIndex((each) => each.dataset.label === said);
    return Math.hypot(middles[told][0] - clientX, middles[told][1] - clientY) > 0.5;
  }).map((mark) => mark.dataset.label);
})
"""
MEETING = """
[...document.querySelectorAll(".plot")].flatMap((plot) => {
  const texts = [...plot.querySelectorAll("text")];
  const boxes = texts.map((text) => text.getBoundingClientRect());
  return texts.filter((_, number) => boxes.slice(0, number).some((each) => {
    const box = boxes[number];
    const aside = Math.min(box.right, each.right) - Math.max(box.left, each.left);
    return aside > 0 && Math.min(box.bottom, each.bottom) - Math.max(box.top, each.top) > 2;
  })).map((text) => text.textContent);
})
"""
LABEL = """
(() => {
  const label = document.querySelector("#label"), box = label.getBoundingClientRect();
  return [label.hidden, label.textContent, box.left >= 0 && box.right <= innerWidth];
})()
"""
OVER_BARS = """
[...document.querySelectorAll(".bars .bar")].flatMap((bar) =>
  [...bar.parentNode.querySelectorAll(".range, .document-line")].map((mark) =>
    [mark, bar].flatMap((each) => [getComputedStyle(each).fill, getComputedStyle(each).stroke])
  )
)
"""
LANDMARKS = """
[...document.querySelectorAll("header, nav, main, footer, [role=region], section[aria-label]")]
  .map((each) => `${each.getAttribute("role") ?? each.localName} ${each.ariaLabel ?? ""}`)
"""
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page with every kind of chart."""
    written = write_pages(RESULTS, tmp_path_factory.mktemp("pages"))
    return next(path.as_uri() for path in written if path.suffix == ".html")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of the repository's own results."""
    written = write_pages(load_results(COMMITTED), tmp_path_factory.mktemp("committed"))
    return next(path.as_uri() for path in written if path.suffix == ".html")


@pytest.fixture(
    params=WINDOWS, ids=lambda window: f"{window[0]}-{'dark' if window[1] else 'light'}"
)
def window(request: pytest.FixtureRequest, browser: Browser) -> Browser:
    """A window of a phone's or a desktop's width, in light or dark."""
    width, dark = request.param
    browser.show(width=width, dark=dark)
    return browser


@pytest.fixture
def shown(window: Browser, url: str) -> Browser:
    """The example's page in each of the windows."""
    window.open(url)
    return window


def test_every_chart_is_drawn(shown: Browser) -> None:
    drawn = shown.evaluate(DRAWN)
    assert len(drawn) == 8
    assert all(figure["marks"] > 1 and figure["smallest"] > 1 for figure in drawn.values())
    assert drawn["Latency against tokens"]["lines"] == 9
    assert drawn["Latency against tokens"]["shortest"] > 50
    assert drawn["What one image costs"]["marks"] == 6, "none for a part that costs nothing"


def test_nothing_fails_in_the_console_and_nothing_is_fetched(shown: Browser, url: str) -> None:
    events = list(shown.events)
    assert [event for event in events if event["method"] in COMPLAINTS] == []
    sent = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert sent == [url]


def test_the_page_is_never_wider_than_its_window(shown: Browser) -> None:
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shown.evaluate(OUTSIDE) == []


def test_the_committed_results_are_all_drawn_within_the_window(
    window: Browser, committed: str
) -> None:
    window.open(committed)
    assert [event for event in window.events if event["method"] in COMPLAINTS] == []
    expected = [
        figure.title
        for title in window.evaluate(SECTIONS)
        for result in load_results(COMMITTED)
        if title_of_suite(result.suite) == title
        for figure in (*comparisons(result), *curves(result.findings))
    ]
    assert [title for title, marks in window.evaluate(MARKS) if marks > 1] == expected
    assert window.evaluate(OUTSIDE) == []


def test_the_documents_table_is_blocks_on_a_phone_and_whole_on_a_desktop(
    window: Browser, committed: str
) -> None:
    """Its eleven columns."""
    window.open(committed)
    assert window.evaluate(FITS_ITS_BOX)


def test_a_figure_alone_in_its_row_takes_all_of_it(browser: Browser, committed: str) -> None:
    browser.show(width=1440, dark=False)
    browser.open(committed)
    assert browser.evaluate(LAST_CARDS_EDGES) == [0]


def test_no_two_values_of_an_axis_meet_on_the_narrowest_phone(
    browser: Browser, committed: str, tmp_path: Path
) -> None:
    """Nor those of a long run."""
    points = [(5_000.0 * n, 1_000.0 + n) for n in range(1, 21)]
    long = Findings([], [], [], [Series("memory-calls", "ours", "calls", "MB", points)])
    write_pages([result("memory", long)], tmp_path)
    browser.show(width=320, dark=False)
    for page_url in (committed, (tmp_path / "index.html").as_uri()):
        browser.open(page_url)
        assert browser.evaluate(MEETING) == []


def test_wide_tables_scroll_in_their_own_box_on_a_phone(browser: Browser, url: str) -> None:
    browser.show(width=390, dark=False)
    browser.open(url)
    assert browser.evaluate(WIDER_THAN_ITS_BOX)


def test_the_mark_under_the_pointer_says_its_value(shown: Browser) -> None:
    x, y, said = shown.evaluate(MARK)
    assert shown.evaluate(LABEL)[0], "nothing is said before"
    shown.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert shown.evaluate(LABEL) == [False, said, True]
    shown.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert shown.evaluate(LABEL)[0]


def test_every_mark_of_the_committed_charts_says_its_own_value(
    browser: Browser, committed: str
) -> None:
    """But those that another covers, in the very same place."""
    browser.show(width=1280, dark=False)
    browser.open(committed)
    assert browser.evaluate(MISTAKEN) == []


def test_names_out_of_results_are_shown_and_never_run(shown: Browser) -> None:
    assert shown.evaluate("document.title") == "vla-embeddings benchmarks"
    assert HOSTILE in shown.evaluate("document.querySelector('main').innerText")


def test_no_two_landmarks_are_read_out_alike(shown: Browser) -> None:
    """Those of a screen reader; what a table is of is told by the heading before it."""
    landmarks = shown.evaluate(LANDMARKS)
    assert len(landmarks) == len(set(landmarks))


def test_the_page_is_light_or_dark_as_its_reader_prefers(browser: Browser, url: str) -> None:
    grounds = []
    for dark in (False, True):
        browser.show(width=1280, dark=dark)
        browser.open(url)
        grounds.append(browser.evaluate(GROUND))
    assert grounds == ["rgb(247, 247, 244)", "rgb(20, 23, 26)"]


def test_what_is_folded_on_screen_is_open_on_paper(browser: Browser, url: str) -> None:
    """The data of charts; and the paper is white whatever the screen's colours."""
    browser.show(width=800, dark=True)
    browser.open(url)
    seen = "document.querySelector('figure details table').checkVisibility()"
    assert not browser.evaluate(seen)
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(seen)
    assert browser.evaluate(GROUND) == "rgb(255, 255, 255)"
    browser.send("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_and_lines_stand_out_from_their_ground(scheme: str) -> None:
    """By WCAG 2.2: 4.5 to 1 for text (1.4.3), 3 to 1 for what a chart draws (1.4.11)."""
    light, dark, *_ = (FOLDER / "style.css").read_text().split("@media")
    colours = dict(re.findall(r"--([\w-]+): #(\w{6});", light if scheme == "light" else dark))
    text = ("ink", "soft", "ours", "good", "bad")
    drawn = ("ours", "peer", "limit", *_lines(colours))
    assert len(drawn) == 3 + SLOTS
    for ground in ("card", "page"):
        assert all(_contrast(colours[name], colours[ground]) >= 4.5 for name in text)
    assert all(_contrast(colours[name], colours["card"]) >= 3 for name in drawn)


def test_a_range_and_the_documents_line_are_seen_on_a_bar_that_they_lie_on(shown: Browser) -> None:
    """By their edges; 3 to 1, as above."""
    found = shown.evaluate(OVER_BARS)
    assert len(found) > 5
    for fill, edge, bar, _ in found:
        assert _contrast(_hex(edge), _hex(bar)) >= 3
        assert _contrast(_hex(edge), _hex(fill)) >= 3


def test_what_was_not_measured_is_left_out() -> None:
    text = page([result("search", SEARCH)])
    assert "targets" not in text
    assert "The document" not in text


def _lines(colours: dict[str, str]) -> list[str]:
    return [name for name in colours if name.startswith("colour-")]


def _contrast(first: str, second: str) -> float:
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _hex(computed: str) -> str:
    """From `rgb(1, 2, 3)`, as browsers tell a colour."""
    return "".join(f"{int(channel):02x}" for channel in re.findall(r"\d+", computed))


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_names_no_other_file_and_no_address(url: str) -> None:
    text = Path(url.removeprefix("file://")).read_text()
    assert re.findall(r"(?:src|href)=\"(?!#)", text) == []
    assert re.findall(r"https?://", text) == []
