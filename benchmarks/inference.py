"""What embeddings add to an inference: a stand-in policy of 100 ms, with and without them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.bench import Bench
from benchmarks.database import own_database
from benchmarks.harness import Advance
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import Spread, exactly, median_interval, quartiles, tail_rank
from vla_embeddings import EmbeddingService
from vla_embeddings.inference import Embedded, InferenceEmbeddings, Reason
from vla_embeddings.search import Database

POLICY_SECONDS = 0.1
MAX_ADDED_P50_MS = 5.0
MAX_ADDED_TAIL_MS = 15.0
"""Of a policy that waits, such as one on a GPU or another machine."""

SIDE = 512

READY = "share with both vectors in time"

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A stand-in that takes `POLICY_SECONDS` when it has the machine for itself."""

    name: str
    act: Act
    nice: int
    """Of the threads that embed."""
    bounded: bool
    """Whether the added time is held to the targets, or stated."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of the same requests without and with embeddings, in turns."""

    off: list[float]
    on: list[float]
    ready: list[bool]
    """Whether both vectors came back with the action."""


def run(bench: Bench) -> Findings:
    """Time requests with embeddings on and off, beside an idle and a computing policy."""
    busy = _busy()
    policies = (
        Policy("waiting policy", lambda: asyncio.sleep(POLICY_SECONDS), 0, bounded=True),
        Policy("CPU-bound policy", busy, 0, bounded=False),
        Policy("CPU-bound policy, EMBEDDING_NICE=19", busy, 19, bounded=False),
    )
    advance = bench.track("inference", len(policies) * bench.size.requests)
    times = asyncio.run(_measure(policies, bench, advance))
    return Findings.joined(map(_findings, policies, times))


def _busy() -> Act:
    """Matrix products on all cores, as many as take `POLICY_SECONDS` now."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    product = np.empty_like(matrix)

    def multiply(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            np.matmul(matrix, matrix, out=product)
        return time.perf_counter() - start

    products = max(1, round(POLICY_SECONDS / np.median([multiply(1) for _ in range(50)])))
    return lambda: asyncio.to_thread(multiply, products)


async def _measure(policies: Sequence[Policy], bench: Bench, advance: Advance) -> list[Times]:
    async with own_database() as db:
        return [await _times(policy, db, bench, advance) for policy in policies]


async def _times(policy: Policy, db: Database, bench: Bench, advance: Advance) -> Times:
    times, count = Times([], [], []), bench.size.requests
    async with (
        bench.service(bench.usual("image"), nice=policy.nice) as service,
        InferenceEmbeddings(service, db, consent=_agreed) as embeddings,
    ):
        await _prepare(db, service, bench, count)
        for number in range(count):
            request = _Request(policy, service, embeddings, bench, number)
            if number % 2:
                times.off.append(await request.without())
            milliseconds, embedded = await request.beside()
            times.on.append(milliseconds)
            times.ready.append(embedded.instruction.reason is embedded.image.reason is None)
            if not number % 2:
                times.off.append(await request.without())
            advance(1)
    return times


async def _prepare(db: Database, service: EmbeddingService, bench: Bench, count: int) -> None:
    """Rows to store in, and models loaded."""
    await db.pool.execute(
        "TRUNCATE instruction_analytics, context_metadata;"
        f"INSERT INTO instruction_analytics (id) SELECT generate_series(0, {count - 1})"
    )
    await service.batch_generate_embeddings(texts=["warm up"], images=[bench.inputs.jpegs[0]])


@dataclass(frozen=True, slots=True)
class _Request:
    policy: Policy
    service: EmbeddingService
    embeddings: InferenceEmbeddings
    bench: Bench
    number: int

    async def without(self) -> float:
        """Milliseconds of the policy alone."""
        start = time.perf_counter()
        await self.policy.act()
        return 1000 * (time.perf_counter() - start)

    async def beside(self) -> tuple[float, Embedded]:
        """Milliseconds with embeddings of an instruction and an image not seen before."""
        inputs, start = self.bench.inputs, time.perf_counter()
        image = inputs.jpegs[self.number % len(inputs.jpegs)]
        _, embedded = await self.embeddings.beside(
            self.policy.act(),
            instruction=inputs.instructions[self.number],
            image=image,
            customer_id="customer_123",
            analytics_id=self.number,
        )
        milliseconds = 1000 * (time.perf_counter() - start)
        if embedded.image.reason is Reason.LATE:  # the next request must not pay for it
            await self.service.get_image_embedding(image)
        return milliseconds, embedded


async def _agreed(customer_id: str) -> bool:
    return True


def _findings(policy: Policy, times: Times) -> Findings:
    work = f"one inference, {policy.name}"
    rows = [
        _row(work, "embeddings off", times.off),
        _row(work, "ours, embeddings on", times.on),
        Row(
            work,
            READY,
            exactly(float(np.mean(times.ready))),
            "",
            role="ours",
            turns=[float(each) for each in times.ready],
        ),
    ]
    tail = tail_rank(len(times.on))
    added = {
        "added at p50": (_added_p50(times), MAX_ADDED_P50_MS),
        f"added at p{tail}": (_added_in_the_tail(times, tail), MAX_ADDED_TAIL_MS),
    }
    if not policy.bounded:
        rows += [
            Row(work, name, figure, "ms", role="ours", derived=True)
            for name, (figure, _) in added.items()
        ]
        return Findings(rows, [], [])
    verdicts = [
        Verdict(work, name, None, figure, "ms", bound, at_most=True)
        for name, (figure, bound) in added.items()
    ]
    return Findings(rows, verdicts, [])


def _row(work: str, subject: str, milliseconds: Sequence[float]) -> Row:
    p90 = float(np.percentile(milliseconds, 90))
    turns = list(milliseconds)
    return Row(work, subject, quartiles(milliseconds), "ms", p90=p90, turns=turns)


def _added_p50(times: Times) -> Spread:
    return median_interval([on - off for on, off in zip(times.on, times.off, strict=True)])


def _added_in_the_tail(times: Times, rank: int) -> Spread:
    return exactly(float(np.percentile(times.on, rank) - np.percentile(times.off, rank)))
