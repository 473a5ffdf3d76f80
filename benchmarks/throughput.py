"""Many inputs at once: vectors a second, beside the peers and the machine's limits."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from benchmarks.bench import Bench
from benchmarks.contest import Contest, Limit, Standing, Work, contest
from benchmarks.curves import curve_work, curves
from benchmarks.flops import clip_image_flops, minilm_flops
from benchmarks.limits.gemm import gemm_limits
from benchmarks.results import Findings, Verdict
from benchmarks.rows import speed_rows
from benchmarks.spread import median_interval
from benchmarks.targets import IMAGES, INSTRUCTIONS, THROUGHPUT, targets_of
from vla_embeddings.latency import TOKENS, of_length
from vla_embeddings.models import Kind
from vla_embeddings.runtime.tokens import Tokenizer

BATCHES = (1, 4, 16, 64)


def run(bench: Bench) -> Findings:
    """Many inputs in one call: vectors a second, and the time by batch size."""
    return Findings.joined(
        [_instructions(bench), *([_images(bench)] if bench.size.images else [])]
    )


def _instructions(bench: Bench) -> Findings:
    size, tokenizer = bench.size, Tokenizer(bench.fp32("text"))
    texts = bench.inputs.instructions[: size.throughput_turns * size.instructions]
    lengths = [len(ids) for ids in tokenizer.encode(texts)]
    order = dealt(lengths, size.throughput_turns)
    texts, lengths = [texts[place] for place in order], [lengths[place] for place in order]
    limits = gemm_limits(lambda part: minilm_flops(lengths[part]), on_gpu=bench.on_gpu)
    work = _bulk_work(INSTRUCTIONS, size.throughput_turns, size.instructions, limits)
    alike = list(
        islice(cycle(of_length(bench.inputs.instructions, bench.fp32("text"))), BATCHES[-1])
    )
    parts = {float(n): slice(len(texts), len(texts) + n) for n in BATCHES}
    with contest(bench, "text", [*texts, *alike]) as field:
        findings = _findings(field, work, bench, "text")
        drawn = curve_work("instructions, by batch", parts, size.curve_turns)
        growing = field.hold(drawn) if size.curve_turns else []
    x = f"instructions of {TOKENS} tokens in a call"
    findings.series.extend(curves("latency-batch", x, parts, growing))
    return findings


def _images(bench: Bench) -> Findings:
    limits = gemm_limits(
        lambda part: (part.stop - part.start) * clip_image_flops(), on_gpu=bench.on_gpu
    )
    work = _bulk_work(IMAGES, bench.size.throughput_turns, bench.size.images, limits)
    with contest(bench, "image", bench.inputs.jpegs) as field:
        return _findings(field, work, bench, "image")


def dealt(lengths: Sequence[int], turns: int) -> list[int]:
    """Places of texts, turn after turn, each with as many short and long ones as the next.

    So what lies between two turns is noise, and not the inputs.
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [place for turn in range(turns) for place in sorted(by_length[turn::turns])]


def _bulk_work(name: str, turns: int, each: int, limits: Sequence[Limit]) -> Work:
    """A call of so many inputs in every turn, each time the next ones."""
    chunks = [[slice(start, start + each)] for start in range(0, turns * each, each)]
    return Work(name, chunks, warm_up=slice(0, each), warms_up_every_turn=False, limits=limits)


def _findings(field: Contest, work: Work, bench: Bench, kind: Kind) -> Findings:
    standings = field.hold(work)
    rows = speed_rows(work, standings, bench, kind, "/s")
    verdicts = [
        verdict
        for each in standings
        if not bench.on_gpu  # for which no ratio is set
        for verdict in _verdicts(work, each, standings)
    ]
    return Findings(rows, verdicts, field.absences, runs_on=field.runs_on)


def _verdicts(work: Work, ours: Standing, standings: Sequence[Standing]) -> Iterator[Verdict]:
    if ours.precision is None:
        return
    name = ours.timings.name
    for target in targets_of(THROUGHPUT, work.name, ours.precision):
        for other in standings:
            if target.against is not None and other.is_called(target.against):
                against = other.timings.name
                faster = (
                    median_interval([other.timings.best / each for each in ours.timings.medians])
                    if other.bounds
                    else other.timings.times_of(ours.timings)
                )
                yield Verdict(work.name, name, against, faster, "x", target.bound, at_most=False)
