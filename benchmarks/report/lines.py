"""Series as lines, in an SVG that is as wide as its place and keeps its letters' size.

Whatever lies on the x axis is placed in percent; only the lines themselves are stretched.
"""

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.report.contenders import is_ours
from benchmarks.report.curves import Title, labelled
from benchmarks.report.figure import Look, dot, legend, mark
from benchmarks.report.markup import Attributes, Markup, joined, percent, tag
from benchmarks.report.scale import Scale, scale_from_zero, scale_over, scale_through
from benchmarks.report.words import rounded
from benchmarks.results import Series

HEIGHT = 240
ASIDE, BELOW = 7, 15
"""Pixels from the middle of a mark to its label, where a line that rises leaves room; not below
the axis, whose values stand there."""
ROOMY = 20
"""So many points of a line have room for their shapes on a phone; with more, all are dots."""


def line_chart(series: Sequence[Series], title: Title) -> Markup:
    """All series of a chart, with axes and a legend; ours stand out from any others."""
    points = [point for each in series for point in each.points]
    x = (scale_from_zero if title.even else scale_through)([x for x, _ in points])
    ends = [end for each in series for end in (*each.low, *each.high)]
    y = (scale_from_zero if title.from_zero else scale_over)([*(y for _, y in points), *ends])
    looks = _looks(series)
    shapes = all(len(each.points) <= ROOMY for each in series)
    draw = mark if shapes else dot
    ours_last = sorted(series, key=lambda each: is_ours(each.subject))
    drawing = tag(
        "svg",
        {"class": "plot", "height": HEIGHT, "role": "img", "aria-label": title.name},
        tag("desc", {}, f"{title.note} {_description(series)}".strip()),
        *[_vertical(x, tick) for tick in x.ticks],
        *[_horizontal(y, tick) for tick in y.ticks],
        *[_ranges(each, looks[each.subject], x, y) for each in ours_last],
        *[_line(each, looks[each.subject], x, y) for each in ours_last],
        *[_marks(each, x, y, title, partial(draw, looks[each.subject])) for each in ours_last],
    )
    return joined(
        legend(looks, shapes=shapes),
        tag("p", {"class": "axis"}, series[0].y),
        tag("div", {"class": "axes"}, drawing),
        tag("p", {"class": "axis x"}, series[0].x),
    )


def _looks(series: Sequence[Series]) -> dict[str, Look]:
    """Of each subject; peers are muted beside ours."""
    subjects = [each.subject for each in series]
    beside_ours = any(map(is_ours, subjects))
    return {
        subject: Look(number, muted=beside_ours and not is_ours(subject))
        for number, subject in enumerate(subjects)
    }


def _description(series: Sequence[Series]) -> str:
    """What one who cannot see it learns of the chart; the table has the rest."""
    return " ".join(
        f"{each.subject}: {rounded(each.points[0][1])} at {rounded(each.points[0][0])}, "
        f"{rounded(each.points[-1][1])} at {rounded(each.points[-1][0])}."
        for each in series
    )


def _vertical(scale: Scale, tick: float) -> Markup:
    x = percent(scale.share(tick))
    line = tag("line", {"class": "grid", "x1": x, "x2": x, "y1": 0, "y2": HEIGHT})
    text = tag("text", {"x": x, "y": HEIGHT + 20, "text-anchor": "middle"}, rounded(tick))
    return joined(line, text)


def _horizontal(scale: Scale, tick: float) -> Markup:
    y = _down(scale, tick)
    line = tag("line", {"class": "grid", "x1": 0, "x2": "100%", "y1": y, "y2": y})
    return joined(line, tag("text", {"x": -8, "y": y + 4, "text-anchor": "end"}, rounded(tick)))


def _line(series: Series, look: Look, x: Scale, y: Scale) -> Markup:
    points = " ".join(f"{100 * x.share(a):.2f},{_down(y, b):.2f}" for a, b in series.points)
    attributes = {
        "class": f"line {look.colour}",
        "points": points,
        "vector-effect": "non-scaling-stroke",
    }
    stretched: Attributes = {
        "viewBox": f"0 0 100 {HEIGHT}",
        "preserveAspectRatio": "none",
        "width": "100%",
        "height": HEIGHT,
    }
    return tag("svg", stretched, tag("polyline", attributes))


def _ranges(series: Series, look: Look, x: Scale, y: Scale) -> Markup:
    """Upright lines between the quartiles of each point."""
    drawn = []
    for (a, _), low, high in zip(series.points, series.low, series.high, strict=False):
        place = percent(x.share(a))
        ends: Attributes = {"x1": place, "x2": place, "y1": _down(y, low), "y2": _down(y, high)}
        drawn.append(tag("line", {"class": f"range {look.colour}", **ends}))
    return joined(*drawn)


def _marks(
    series: Series, x: Scale, y: Scale, title: Title, draw: Callable[[str, str, str], Markup]
) -> Markup:
    marks = []
    for label, (a, b) in labelled(series):
        across, down = percent(x.share(a)), _down(y, b)
        named = [f"{title.label}: {label}"] if label else []
        values = [f"{series.x}: {rounded(a)}", f"{series.y}: {rounded(b)}"]
        marks.append(draw(across, f"{down:.2f}", "\n".join([series.subject, *named, *values])))
        if label:
            below = min(BELOW, HEIGHT - down)
            aside: Attributes = {"x": across, "y": down, "dx": ASIDE, "dy": below}
            marks.append(tag("text", aside, label))
    return joined(*marks)


def _down(scale: Scale, value: float) -> float:
    """Pixels from the top."""
    return HEIGHT * (1 - scale.share(value))
