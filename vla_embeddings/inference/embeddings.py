"""`InferenceEmbeddings`: what an inference service keeps for its lifetime."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, cast

from vla_embeddings.errors import InvalidInput
from vla_embeddings.inference.consent import Consent, ConsentCheck
from vla_embeddings.inference.forget import Forgotten, clear
from vla_embeddings.inference.loss import report_loss
from vla_embeddings.inference.outcome import Embedded, Outcome, Reason, counted, outcome_of
from vla_embeddings.inference.record import Fate, Inference, Kind, OnLost
from vla_embeddings.inference.recorder import Recorder
from vla_embeddings.inference.writer import Writer
from vla_embeddings.metrics import INFERENCE_ADDED_SECONDS, STORAGE_REFUSED
from vla_embeddings.runtime import ImageInput
from vla_embeddings.search.binding import plain
from vla_embeddings.search.handles import Handle, opens_connections
from vla_embeddings.service import EmbeddingService, Vector

Action = TypeVar("Action")
_Making: TypeAlias = dict[Kind, asyncio.Task[Outcome]]

MAX_MAKING = 128
"""Embeddings that may be under way at once; an image is held until its own is ready."""

_LATE = Outcome(None, Reason.LATE, "not ready within the budget; stored once it is")
_OVERLOADED = Outcome(None, Reason.OVERLOADED, f"{MAX_MAKING} embeddings are under way already")


class InferenceEmbeddings:
    """Makes the embeddings of inferences beside them, and stores those with consent.

        async with InferenceEmbeddings(service, db, consent=check) as embeddings:
            action, embedded = await embeddings.beside(
                policy.act(image, instruction), instruction=instruction, image=image, ...
            )

    An inference never fails by it, and waits at most the budget for it. To be used in one event
    loop.

    Args:
        service: makes the vectors; the caller closes it afterwards.
        db: an asyncpg pool, a `Database` or a SQLAlchemy engine. A single connection is none:
            it cannot come back after an outage.
        consent: asked before anything is stored; None lets nothing be stored.
        consent_ttl: seconds for which an answer holds.
        budget_ms: most milliseconds an inference waits after its action is ready.
        queue_rows: most accepted vectors that wait for the database, about 2 KB each.
        flush_seconds: how long the end of the block waits until all are written.
        on_lost: told of each accepted vector that could not be stored.

    Raises:
        InvalidInput: `db` cannot open connections.
    """

    def __init__(
        self,
        service: EmbeddingService,
        db: Handle,
        *,
        consent: ConsentCheck | None = None,
        consent_ttl: float = 30.0,
        budget_ms: float = 5.0,
        queue_rows: int = 20_000,
        flush_seconds: float = 10.0,
        on_lost: OnLost | None = None,
    ) -> None:
        if not opens_connections(db):
            raise InvalidInput(
                "db must open connections of its own: an asyncpg pool, a Database or a "
                f"SQLAlchemy AsyncEngine; got {type(db).__qualname__}."
            )
        self._service = service
        self._db = db
        self._consent = Consent(consent, ttl=consent_ttl)
        self._budget = budget_ms / 1000
        self._flush_seconds = flush_seconds
        writer = Writer(service, db, self._consent)
        self._recorder = Recorder(writer, queue_rows=queue_rows, on_lost=on_lost)
        self._making: set[asyncio.Task[Outcome]] = set()
        self._storing: dict[asyncio.Task[None], tuple[Kind, Inference]] = {}

    async def beside(
        self,
        action: Awaitable[Action],
        *,
        instruction: str,
        image: ImageInput,
        customer_id: str | None,
        analytics_id: int | None,
        robot_type: str | None = None,
    ) -> tuple[Action, Embedded]:
        """Await the action while the embeddings are made.

        Args:
            action: the policy's computation, which runs in a task of its own. What it raises is
                raised, and nothing is stored.
            instruction: as for `EmbeddingService.get_instruction_embedding`.
            image: as for `EmbeddingService.get_image_embedding`: the action may change it, and
                what is embedded is what it was before. Not so where the action is a task or thread
                that runs already, or the image a PIL image that was not loaded yet.
            customer_id: whose they are; None stores nothing.
            analytics_id: `instruction_analytics.id` of this inference; None stores nothing.
            robot_type: for a new row of `context_metadata`.

        Returns:
            The action, and for each embedding the vector or the reason why there is none.
        """
        if len(self._making) >= MAX_MAKING:
            return await action, counted(Embedded(_OVERLOADED, _OVERLOADED))
        making: _Making = {
            "instruction": self._make(self._service.get_instruction_embedding(instruction)),
            "image": self._make(self._service.get_image_embedding(image)),
        }
        try:
            # A task, so that it starts after those above, whose first steps copy the image.
            result = await asyncio.ensure_future(action)
            await self._wait(making)
        except BaseException:
            for task in making.values():
                task.cancel()
            raise
        if analytics_id is not None:
            # What is no whole number all the same is refused when it is accepted.
            number = cast(int, plain(analytics_id))
            inference = Inference(number, customer_id, robot_type)
            for kind, task in making.items():
                self._store_later(kind, task, inference)
        return result, counted(Embedded(_so_far(making["instruction"]), _so_far(making["image"])))

    async def forget_customer(self, customer_id: str) -> Forgotten:
        """Clear a customer's vectors from both tables, and drop those waiting to be written.

        Rows stay, their vectors become NULL. Whatever comes later is stored only if the consent
        check, asked anew, allows it; so withdraw the consent first.

        Raises:
            InvalidInput: the id is no string, or does not fit the type of a `customer_id` column.
            DatabaseUnavailable: the server cannot be reached; call it again.
        """
        if not isinstance(customer_id, str):
            raise InvalidInput(f"customer_id must be a string; got {customer_id!r}")
        self._consent.forget(customer_id)
        waiting = await self._recorder.forget(customer_id)
        return await clear(self._db, customer_id, waiting=waiting)

    async def __aenter__(self) -> Self:
        self._recorder.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        deadline = time.monotonic() + self._flush_seconds
        try:
            await self._finish_storing()
            await self._recorder.flush(seconds=max(0.0, deadline - time.monotonic()))
        finally:  # also where the end itself is cancelled: nothing goes without a word
            self._recorder.abandon()

    async def _finish_storing(self) -> None:
        """Wait for the late vectors; those that do not come in time are reported."""
        try:
            if self._storing:
                await asyncio.wait(self._storing, timeout=self._flush_seconds)
        finally:
            for task, (kind, inference) in self._storing.items():
                task.cancel()
                report_loss(kind, inference, Fate.SHUTDOWN, "not ready before the end")

    def _make(self, embedding: Coroutine[Any, Any, Vector]) -> asyncio.Task[Outcome]:
        task = asyncio.create_task(outcome_of(embedding))
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        return task

    async def _wait(self, making: _Making) -> None:
        """Give the embeddings the budget, from now on."""
        with INFERENCE_ADDED_SECONDS.time():
            await asyncio.wait(making.values(), timeout=self._budget)

    def _store_later(self, kind: Kind, made: asyncio.Task[Outcome], inference: Inference) -> None:
        task = asyncio.create_task(self._store(kind, made, inference, late=not made.done()))
        self._storing[task] = kind, inference
        task.add_done_callback(self._storing.pop)

    async def _store(
        self, kind: Kind, made: asyncio.Task[Outcome], inference: Inference, *, late: bool
    ) -> None:
        """Hand the vector to the recorder once it is there, where the customer agrees."""
        outcome = await made
        if outcome.vector is None:
            if late:  # the caller was told that it would be stored
                report_loss(kind, inference, Fate.NOT_MADE, outcome.detail)
            return
        verdict = await self._consent.ask(inference.customer_id)
        if verdict in ("granted", "unavailable"):
            agreed = verdict == "granted"
            self._recorder.accept(inference, kind, outcome.vector, agreed=agreed)
        else:
            STORAGE_REFUSED.labels(verdict).inc()


def _so_far(task: asyncio.Task[Outcome]) -> Outcome:
    return task.result() if task.done() else _LATE
