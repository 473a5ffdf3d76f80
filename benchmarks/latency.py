"""One call at a time: the platform document's table, beside the peers and the limits."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from benchmarks.bench import Bench
from benchmarks.contest import Limit, Standing, Work, contest
from benchmarks.curves import curve_work, curves
from benchmarks.flops import clip_image_flops, minilm_flops
from benchmarks.limits.bandwidth import bandwidth_limits
from benchmarks.limits.gemm import gemm_limits
from benchmarks.results import Findings, Verdict
from benchmarks.rows import in_unit, limit_rows, speed_rows
from benchmarks.targets import (
    LATENCY,
    LATENCY_ON_GPU,
    ONE_IMAGE,
    ONE_INSTRUCTION,
    PACED_INSTRUCTION,
    Target,
    targets_of,
)
from vla_embeddings.latency import TOKENS, of_length
from vla_embeddings.models import Kind
from vla_embeddings.runtime.tokens import Tokenizer

FIRST = slice(0, 1)
LENGTHS = (8, 16, 32, 64, 128, 256)
"""Tokens of the instructions of the curve; 256 is MiniLM's limit."""
PAUSE = 0.02
"""Seconds between the calls of a robot that acts 50 times a second. Threads sleep meanwhile, and
what wakes them counts."""


def run(bench: Bench) -> Findings:
    """One call at a time: the platform document's table, and the time by tokens."""
    return Findings.joined([_instructions(bench), _images(bench)])


def _instructions(bench: Bench) -> Findings:
    size = bench.size
    texts = of_length(bench.inputs.instructions, bench.fp32("text"))
    turns = _turns(size.latency_turns, size.instruction_calls, len(texts))
    limits = _limits(bench, "text", lambda _: minilm_flops([TOKENS]))
    work = Work(ONE_INSTRUCTION, turns, warm_up=FIRST, limits=limits)
    seldom = _turns(size.latency_turns, size.paced_calls, len(texts))
    paced = Work(PACED_INSTRUCTION, seldom, warm_up=FIRST, pause=PAUSE)
    lengthy = texts_of_tokens(bench)
    parts = {
        float(length): slice(place, place + 1)
        for place, length in enumerate(LENGTHS, start=len(texts))
    }
    with contest(bench, "text", [*texts, *lengthy]) as field:
        standings, seldom_ones = field.hold(work), field.hold(paced) if size.paced_calls else []
        drawn = curve_work("one instruction, by tokens", parts, size.curve_turns)
        growing = field.hold(drawn) if size.curve_turns else []
    series = curves("latency-tokens", "tokens", parts, growing)
    peaks = [each for each in standings if each.bounds]
    limited = limit_rows(work, standings)
    return Findings.joined(
        [
            _findings(work, standings, bench, "text"),
            _findings(paced, seldom_ones, bench, "text", peaks),
            Findings(limited, [], field.absences, series, runs_on=field.runs_on),
        ]
    )


def _images(bench: Bench) -> Findings:
    size, jpegs = bench.size, bench.inputs.jpegs
    turns = _turns(size.latency_turns, size.image_calls, len(jpegs))
    limits = _limits(bench, "image", lambda _: clip_image_flops())
    with contest(bench, "image", jpegs) as field:
        work = Work(ONE_IMAGE, turns, warm_up=FIRST, limits=limits)
        findings = _findings(work, field.hold(work), bench, "image")
    return Findings.joined([findings, Findings([], [], field.absences, runs_on=field.runs_on)])


def _limits(bench: Bench, kind: Kind, operations: Callable[[slice], float]) -> list[Limit]:
    """Arithmetic, and the memory that the weights are read from; a GPU's takes microseconds."""
    reading = [] if bench.on_gpu else bandwidth_limits(bench.artifacts(kind))
    return [*gemm_limits(operations, on_gpu=bench.on_gpu), *reading]


def texts_of_tokens(bench: Bench) -> list[str]:
    """A text of each of the lengths, from words of the instructions."""
    tokenizer = Tokenizer(bench.fp32("text"))
    words = " ".join(bench.inputs.instructions[:200]).split()
    counts = [len(ids) - 2 for ids in tokenizer.encode(words)]  # without [CLS] and [SEP]
    return [_of_tokens(length, words, counts) for length in LENGTHS]


def _of_tokens(length: int, words: Sequence[str], counts: Sequence[int]) -> str:
    taken, room = [], length - 2
    for word, count in zip(words, counts, strict=True):
        if count <= room:
            taken.append(word)
            room -= count
    return " ".join(taken)


def _turns(turns: int, calls: int, inputs: int) -> list[list[slice]]:
    """Each call another input, from the first again after the last."""
    numbers = (number % inputs for number in range(turns * calls))
    parts = (slice(number, number + 1) for number in numbers)
    return [list(islice(parts, calls)) for _ in range(turns)]


def _findings(
    work: Work,
    standings: Sequence[Standing],
    bench: Bench,
    kind: Kind,
    limits: Sequence[Standing] = (),
) -> Findings:
    targets = LATENCY_ON_GPU if bench.on_gpu else LATENCY
    verdicts = [
        verdict
        for standing in standings
        if standing.precision is not None
        for target in targets_of(targets, work.name, standing.precision)
        for verdict in _verdicts(target, standing, standings)
    ]
    rows = speed_rows(work, standings, bench, kind, "ms", limits)
    return Findings(rows, verdicts, [])


def _verdicts(target: Target, ours: Standing, standings: Sequence[Standing]) -> Iterator[Verdict]:
    name = ours.timings.name
    if target.against is None:
        figure = in_unit(ours.timings.overall, "ms")
        yield Verdict(target.work, name, None, figure, "ms", target.bound, at_most=True)
        return
    for peer in standings:
        if peer.is_called(target.against):
            ratio = ours.timings.times_of(peer.timings)
            against = peer.timings.name
            yield Verdict(target.work, name, against, ratio, "x", target.bound, at_most=True)
