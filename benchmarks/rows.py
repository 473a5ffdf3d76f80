"""A contender's speed as a row: with its quality, and as a share of what the machine can do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from benchmarks.bench import Bench
from benchmarks.contest import Standing, Work
from benchmarks.quality import text_qualities
from benchmarks.results import Row
from benchmarks.shares import nearest_limit
from benchmarks.spread import Spread
from vla_embeddings.latency import document_ms
from vla_embeddings.models import Kind

SpeedUnit = Literal["ms", "/s"]

CONVERSIONS: Mapping[SpeedUnit, Callable[[float], float]] = {
    "ms": lambda seconds: 1000 * seconds,
    "/s": lambda seconds: 1 / seconds,
}


def speed_rows(
    work: Work, standings: Sequence[Standing], bench: Bench, kind: Kind, unit: SpeedUnit
) -> list[Row]:
    """Those of a work: milliseconds of a call, or inputs a second."""
    return [_row(work, each, standings, bench, kind, unit) for each in standings]


def in_unit(seconds: Spread, unit: SpeedUnit) -> Spread:
    """Seconds of an input, in another unit."""
    convert = CONVERSIONS[unit]
    low, high = sorted((convert(seconds.low), convert(seconds.high)))
    return Spread(low, convert(seconds.median), high)


def _row(
    work: Work,
    standing: Standing,
    standings: Sequence[Standing],
    bench: Bench,
    kind: Kind,
    unit: SpeedUnit,
) -> Row:
    timings, convert = standing.timings, CONVERSIONS[unit]
    share = nearest_limit(standing, standings, work.limits)
    kept = None
    if kind == "text" and standing.precision is not None:
        kept = text_qualities(bench)[standing.precision]
    return Row(
        work.name,
        timings.name,
        in_unit(timings.overall, unit),
        unit,
        p90=convert(timings.percentile(90)) if unit == "ms" else None,
        document=(
            document_ms(kind, bench.device)
            if unit == "ms" and standing.quality is not None
            else None
        ),
        quality=standing.quality,
        neighbours=kept.neighbours if kept else None,
        spearman=kept.spearman if kept else None,
        share=share.value if share else None,
        limit=share.of if share else None,
        is_limit=standing.quality is None,
        turns=[convert(seconds) for seconds in timings.medians],
    )
