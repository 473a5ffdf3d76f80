"""One call at a time: the platform document's table, beside the peers."""

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.contest import Contest, Standing
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import Spread
from benchmarks.targets import LATENCY, ONE_IMAGE, ONE_INSTRUCTION, Target, targets_of
from vla_embeddings.latency import CPU_MS, of_length

FIRST = slice(0, 1)


def run(bench: Bench) -> Findings:
    """Time single instructions and single images through every contender."""
    return Findings.joined(_findings(contest, bench) for contest in _contests(bench))


def _contests(bench: Bench) -> Iterator[Contest]:
    size, jpegs = bench.size, bench.inputs.jpegs
    texts = of_length(bench.inputs.instructions, bench.fp32("text"))
    turns = _turns(size.latency_turns, size.instruction_calls, len(texts))
    yield Contest(ONE_INSTRUCTION, "text", texts, turns, batch=False, warm_up=FIRST)
    turns = _turns(size.latency_turns, size.image_calls, len(jpegs))
    yield Contest(ONE_IMAGE, "image", jpegs, turns, batch=False, warm_up=FIRST)


def _turns(turns: int, calls: int, inputs: int) -> list[list[slice]]:
    """Each call another input, from the first again after the last."""
    numbers = [number % inputs for number in range(turns * calls)]
    parts = [slice(number, number + 1) for number in numbers]
    return [parts[start : start + calls] for start in range(0, len(parts), calls)]


def _findings(contest: Contest, bench: Bench) -> Findings:
    standings, absences = contest.hold(bench)
    rows = [_row(contest, standing) for standing in standings]
    verdicts = [
        verdict
        for standing in standings
        if standing.precision is not None
        for target in targets_of(LATENCY, contest.work, standing.precision)
        for verdict in _verdicts(target, standing, standings)
    ]
    return Findings(rows, verdicts, absences)


def _row(contest: Contest, standing: Standing) -> Row:
    return Row(
        contest.work,
        standing.timings.name,
        _milliseconds(standing),
        "ms",
        p90=1000 * standing.timings.percentile(90),
        document=CPU_MS[contest.kind],
        quality=standing.quality,
    )


def _verdicts(target: Target, ours: Standing, standings: list[Standing]) -> Iterator[Verdict]:
    name = ours.timings.name
    if target.against is None:
        figure = _milliseconds(ours)
        yield Verdict(target.work, name, None, figure, "ms", target.bound, at_most=True)
        return
    for peer in standings:
        if peer.timings.name.startswith(target.against):
            ratio = ours.timings.times_of(peer.timings)
            against = peer.timings.name
            yield Verdict(target.work, name, against, ratio, "x", target.bound, at_most=True)


def _milliseconds(standing: Standing) -> Spread:
    seconds = standing.timings.overall
    return Spread(1000 * seconds.low, 1000 * seconds.median, 1000 * seconds.high)
