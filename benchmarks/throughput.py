"""Many inputs at once: vectors a second, beside the peers and the machine's limit."""

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.contest import Contest, Standing
from benchmarks.flops import clip_image_flops, minilm_flops
from benchmarks.limit import SgemmLimit
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import Spread
from benchmarks.targets import IMAGES, INSTRUCTIONS, THROUGHPUT, targets_of
from vla_embeddings.runtime.tokens import Tokenizer


def run(bench: Bench) -> Findings:
    """Embed chunks of instructions and of JPEGs through every contender."""
    contests = (_instructions(bench), _images(bench))
    return Findings.joined(_findings(contest, bench) for contest in contests)


def _instructions(bench: Bench) -> Contest:
    texts = bench.inputs.instructions
    lengths = [len(ids) for ids in Tokenizer(bench.fp32("text")).encode(texts)]
    limit = SgemmLimit(lambda part: minilm_flops(lengths[part]))
    turns = _chunks(bench.size.throughput_turns, bench.size.instructions)
    return Contest(
        INSTRUCTIONS, "text", texts, turns, batch=True, warm_up=slice(0, 16), limits=[limit]
    )


def _images(bench: Bench) -> Contest:
    limit = SgemmLimit(lambda part: (part.stop - part.start) * clip_image_flops())
    turns = _chunks(bench.size.throughput_turns, bench.size.images)
    jpegs = bench.inputs.jpegs
    return Contest(IMAGES, "image", jpegs, turns, batch=True, warm_up=slice(0, 2), limits=[limit])


def _chunks(turns: int, each: int) -> list[list[slice]]:
    return [[slice(start, start + each)] for start in range(0, turns * each, each)]


def _findings(contest: Contest, bench: Bench) -> Findings:
    standings, absences = contest.hold(bench)
    rows = [
        Row(
            contest.work,
            standing.timings.name,
            _per_second(standing.timings.overall),
            "/s",
            quality=standing.quality,
        )
        for standing in standings
    ]
    verdicts = [verdict for each in standings for verdict in _verdicts(contest, each, standings)]
    return Findings(rows, verdicts, absences)


def _verdicts(contest: Contest, ours: Standing, standings: list[Standing]) -> Iterator[Verdict]:
    if ours.precision is None:
        return
    for target in targets_of(THROUGHPUT, contest.work, ours.precision):
        for other in standings:
            if target.against is not None and other.timings.name.startswith(target.against):
                faster = other.timings.times_of(ours.timings)
                yield Verdict(
                    contest.work,
                    ours.timings.name,
                    other.timings.name,
                    faster,
                    "x",
                    target.bound,
                    at_most=False,
                )


def _per_second(seconds: Spread) -> Spread:
    return Spread(1 / seconds.high, 1 / seconds.median, 1 / seconds.low)
