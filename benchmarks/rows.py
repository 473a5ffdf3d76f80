"""A contender's speed as a row: with its quality, and as a share of what the machine can do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from benchmarks.bench import Bench
from benchmarks.contest import Standing, Work
from benchmarks.quality import with_quality
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
    work: Work,
    standings: Sequence[Standing],
    bench: Bench,
    kind: Kind,
    unit: SpeedUnit,
    limits: Sequence[Standing] = (),
) -> list[Row]:
    """Those of a work: milliseconds of a call, or inputs a second.

    Args:
        limits: held in another work of the same operations.
    """
    bounds = [*standings, *limits]
    return [_row(work, each, bounds, bench, kind, unit) for each in standings]


def limit_rows(work: Work, standings: Sequence[Standing]) -> list[Row]:
    """What the machine can do in its own units, by the limits of a work of equal parts."""
    part = work.turns[0][0]
    rows = []
    for limit in {each.figure: each for each in work.limits}.values():
        [timings] = [each.timings for each in standings if each.is_called(limit.name)]
        turns = [limit.amount(part) / seconds for seconds in timings.medians]
        figure = Spread(min(turns), max(turns), max(turns))
        what = f"this machine, {limit.unit}"
        rows.append(Row(what, limit.figure, figure, limit.unit, role="limit", turns=turns))
    return rows


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
    share, is_limit = nearest_limit(standing, standings), bool(standing.bounds)
    turns = timings.medians
    figure = Spread(min(turns), timings.best, max(turns)) if is_limit else timings.overall
    row = Row(
        work.name,
        timings.name,
        in_unit(figure, unit),
        unit,
        p90=convert(timings.percentile(90)) if unit == "ms" and not is_limit else None,
        document=(document_ms(kind, bench.device) if unit == "ms" and not is_limit else None),
        share=share.value if share else None,
        limit=share.of if share else None,
        role="limit" if is_limit else None,
        turns=[convert(seconds) for seconds in turns],
    )
    if standing.precision is not None:
        return with_quality(row, bench, kind, standing.precision)
    if standing.agreement is None:
        return row
    lowest, compared = standing.agreement
    model = bench.fp32(kind).manifest.model
    return replace(row, quality=lowest, compared=compared, model=model)
