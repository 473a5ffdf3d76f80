"""Real servers, and ways to break them."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pytest
import redis
import redis.asyncio
from numpy.typing import NDArray

from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.local import LocalValkey

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Fake(Protocol):
    """Runs a handler of connections as a server; gives its host and port."""

    def __call__(
        self, handler: Handler, tls: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[str]: ...


@dataclass
class Server:
    """A Valkey of one test's own, on a fixed port, that can be killed, halted and started."""

    port: int
    settings: dict[str, str] = field(default_factory=dict)
    running: LocalValkey | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.running = LocalValkey(port=self.port, settings=self.settings)

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def kill(self) -> None:
        """End the process as a crash would, then clean up after it."""
        self.send(signal.SIGKILL)
        self.stop()

    def send(self, sig: signal.Signals) -> None:
        with self.client() as client:
            pid = client.info("server")["process_id"]
        os.kill(int(pid), sig)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


def free_port() -> int:
    """A port below 55536, so that a cluster's bus port, 10,000 above, exists."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if port < 55536:
            return port


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain client of an emptied server."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def cache(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> AsyncIterator[EmbeddingCache]:
    """A cache on an emptied server, without the memory of this process."""
    async with EmbeddingCache(redis_url, ttl=60, memory_entries=0) as cache:
        yield cache


@pytest.fixture
def vectors() -> dict[str, NDArray[np.float32]]:
    """1,000 random unit vectors of 384 dimensions, by key."""
    values = np.random.default_rng(0).standard_normal((1000, 384), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return {f"embedding:instruction:{number:032x}": row for number, row in enumerate(values)}


@pytest.fixture
def fake() -> Fake:
    @contextlib.asynccontextmanager
    async def run(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        open_writers: set[asyncio.StreamWriter] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_writers.add(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
            writer.close()

        listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        yield f"localhost:{listener.sockets[0].getsockname()[1]}"
        listener.close()
        for writer in open_writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    return run


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int) -> None:
    """Pass on `limit` bytes, then close."""
    with contextlib.suppress(ConnectionError):
        while limit > 0 and (data := await reader.read(min(limit, 65536))):
            limit -= len(data)
            writer.write(data)
            await writer.drain()
    writer.close()


async def forward(
    url: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    reply_bytes: int = 2**60,
) -> None:
    """Stand between a client and the server at `url`; close after so many bytes of replies."""
    options = redis.asyncio.connection.parse_url(url)
    if "path" in options:
        back_reader, back_writer = await asyncio.open_unix_connection(options["path"])
    else:
        back_reader, back_writer = await asyncio.open_connection(options["host"], options["port"])
    request = asyncio.create_task(relay(reader, back_writer, 2**60))
    await relay(back_reader, writer, reply_bytes)
    request.cancel()
    back_writer.close()
    await asyncio.wait((request,))
