"""Limits beside works that are no contest: measured at every turn, the best of which counts."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.bench import Bench
from benchmarks.contest import Limit
from benchmarks.flops import minilm_flops
from benchmarks.harness import SETTLE_SECONDS
from benchmarks.limits.gemm import gemm_limits
from benchmarks.results import Row
from benchmarks.rows import CONVERSIONS, SpeedUnit, in_unit
from benchmarks.spread import Spread
from vla_embeddings.models import Precision
from vla_embeddings.runtime.tokens import Tokenizer

ONE = slice(0, 1)


@dataclass(frozen=True, slots=True)
class Peaks:
    """What the machine can do with one input."""

    limits: Sequence[Limit]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of each turn, by limit."""

    def measure(self) -> None:
        """One turn of all, whose threads then have time to stop."""
        for limit in self.limits:
            self.seconds.setdefault(limit.name, []).extend(limit.seconds([ONE]))
        time.sleep(SETTLE_SECONDS)

    def shared(self, row: Row, precision: Precision) -> Row:
        """A row of inputs a second, or of milliseconds of one, with its share of the limit."""
        for limit in self.limits:
            if precision in limit.precisions:
                best = min(self.seconds[limit.name])
                ours = row.figure.median
                share = best * ours if row.unit == "/s" else 1000 * best / ours
                return replace(row, share=share, limit=limit.name)
        return row

    def rows(self, work: str, unit: SpeedUnit) -> list[Row]:
        """The limits' own."""
        return [
            Row(
                work,
                name,
                in_unit(Spread(min(turns), min(turns), max(turns)), unit),
                unit,
                role="limit",
                turns=[CONVERSIONS[unit](each) for each in turns],
            )
            for name, turns in self.seconds.items()
        ]


def text_peaks(bench: Bench, texts: Sequence[str], precisions: Collection[Precision]) -> Peaks:
    """The arithmetic, in some precisions, of a text as long as these in the mean."""
    lengths = [len(ids) for ids in Tokenizer(bench.fp32("text")).encode(texts)]
    each = minilm_flops(lengths) / len(lengths)
    limits = gemm_limits(lambda _: each, on_gpu=bench.on_gpu)
    return Peaks([limit for limit in limits if not {*precisions}.isdisjoint(limit.precisions)])
