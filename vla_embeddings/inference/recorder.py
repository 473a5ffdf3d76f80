"""The queue between inference and the database: bounded, written in batches, never silent."""

import asyncio
import logging
import time
from collections import deque
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.inference.customers import one_spelling
from vla_embeddings.inference.loss import report_loss
from vla_embeddings.inference.record import Attempt, Fate, Inference, Kind, OnLost, Record
from vla_embeddings.inference.writer import Writer
from vla_embeddings.metrics import STORAGE_QUEUE, STORAGE_REFUSED, STORED

logger = logging.getLogger(__name__)

BATCH_ROWS = 500
LINGER_SECONDS = 0.05
"""How long the first vector waits for company."""
MAX_PAUSE_SECONDS = 2.0
"""Longest pause between attempts while nothing can be written; they double up to it."""

PATIENCE_SECONDS = 60.0
"""How long a row may be missing or blocked: the caller's transaction may not have ended yet."""
# A pool takes a connection back once its query is cancelled on the server, which a halted server
# never confirms; a second cancellation ends that wait.
CANCEL_SECONDS = 1.0


class Recorder:
    """Keeps accepted vectors until the database has them.

    Args:
        queue_rows: most vectors that wait; further ones are lost, and reported.
        on_lost: told of each accepted vector that is given up.
    """

    def __init__(self, writer: Writer, *, queue_rows: int, on_lost: OnLost | None) -> None:
        self._writer = writer
        self._queue_rows = queue_rows
        self._on_lost = on_lost
        self._queue: deque[Record] = deque()
        self._arrived = asyncio.Event()
        # Held while a batch is under way: its records stay at the head of the queue.
        self._writing = asyncio.Lock()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, in a task of the running loop."""
        self._task = asyncio.create_task(self._work(), name="vla-embeddings-recorder")

    def accept(
        self, inference: Inference, kind: Kind, vector: NDArray[np.float32], *, agreed: bool
    ) -> None:
        """Queue a vector whose customer agreed, or could not be asked about."""
        record = Record(inference, kind, vector, time.monotonic(), agreed)
        if fault := inference.fault():
            self._lose(Attempt(record, Fate.INVALID, fault))
        elif self._closing or self._task is None:
            detail = "it came outside the `async with` block of InferenceEmbeddings"
            self._lose(Attempt(record, Fate.SHUTDOWN, detail))
        elif len(self._queue) >= self._queue_rows:
            detail = f"{len(self._queue):,} vectors are waiting already"
            self._lose(Attempt(record, Fate.QUEUE_FULL, detail))
        else:
            self._put(record)
            self._arrived.set()

    async def forget(self, customer_id: str) -> int:
        """Drop what waits for this customer, after the batch under way; returns how many."""
        async with self._writing:
            records = self._take(len(self._queue))
            wanted = one_spelling(customer_id)
            kept = [
                record
                for record in records
                if one_spelling(record.inference.customer_id or "") != wanted
            ]
            for record in kept:
                self._put(record)
        dropped = len(records) - len(kept)
        STORAGE_REFUSED.labels("forgotten").inc(dropped)
        return dropped

    async def flush(self, *, seconds: float) -> None:
        """Take nothing more, and write what waits, for at most `seconds`."""
        assert self._task is not None  # it was started
        self._closing = True
        self._arrived.set()
        await asyncio.wait((self._task,), timeout=seconds)
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=CANCEL_SECONDS)

    def abandon(self) -> None:
        """End at once; what waits is lost, and reported."""
        assert self._task is not None  # it was started
        self._closing = True
        self._task.cancel()
        for record in self._take(len(self._queue)):
            self._lose(Attempt(record, Fate.SHUTDOWN, "not written before the end"))

    async def _work(self) -> None:
        pause = LINGER_SECONDS
        while self._queue or not self._closing:
            await self._arrived.wait()
            await asyncio.sleep(pause)
            settled = await self._write_batch()
            pause = LINGER_SECONDS if settled else min(2 * pause, MAX_PAUSE_SECONDS)
            if not self._queue and not self._closing:
                self._arrived.clear()

    async def _write_batch(self) -> bool:
        """Try the head of the queue; whether any of it is settled."""
        async with self._writing:
            batch = list(islice(self._queue, BATCH_ROWS))
            attempts = await self._writer.write(batch)
            self._take(len(batch))
            settled = [attempt for attempt in attempts if not self._requeued(attempt)]
        for attempt in settled:
            self._settle(attempt)
        return bool(settled)

    def _requeued(self, attempt: Attempt) -> bool:
        """Put a record that may be tried again behind the others; whether it was one."""
        age = time.monotonic() - attempt.record.accepted
        again = attempt.fate is Fate.WAITING or (
            attempt.fate in (Fate.NO_ROW, Fate.BLOCKED) and age < PATIENCE_SECONDS
        )
        if again:
            self._put(attempt.record)
        return again

    def _settle(self, attempt: Attempt) -> None:
        if attempt.fate is Fate.STORED:
            STORED.labels(attempt.record.kind).inc()
        elif attempt.fate is Fate.WITHDRAWN:
            STORAGE_REFUSED.labels(attempt.fate).inc()
        else:
            self._lose(attempt)

    def _lose(self, attempt: Attempt) -> None:
        record = attempt.record
        report_loss(record.kind, record.inference, attempt.fate, attempt.detail)
        if self._on_lost is None or not record.agreed:
            return
        try:
            self._on_lost(attempt)
        except Exception:
            logger.exception("on_lost raised")

    def _put(self, record: Record) -> None:
        self._queue.append(record)
        STORAGE_QUEUE.inc()

    def _take(self, count: int) -> list[Record]:
        """The first records of the queue, which holds them no more."""
        STORAGE_QUEUE.dec(count)
        return [self._queue.popleft() for _ in range(count)]
