"""Servers of a test's own, and ways to break them."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.errors import LocalServerError
from vla_embeddings.local import LocalValkey

# The default deadline of 25 ms is shorter than a busy test machine may stop for.
PATIENCE = 10.0
PatientCache = partial(EmbeddingCache, deadline=PATIENCE)


def make_caches_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PatientCache, for code that makes caches of its own."""
    defaults = EmbeddingCache.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "deadline", PATIENCE)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A Valkey of one test's own, on a fixed port, that can be killed, halted and started."""

    port: int
    settings: dict[str, str] = field(default_factory=dict)
    running: LocalValkey | None = None
    pid: int = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.running = LocalValkey(port=self.port, settings=self.settings)
        with self.client() as client:
            self.pid = int(client.info("server")["process_id"])

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def kill(self) -> None:
        """End the process as a crash would, then clean up after it."""
        self.send(signal.SIGKILL)
        self.stop()

    def send(self, sig: signal.Signals) -> None:
        os.kill(self.pid, sig)

    def command(self, *words: str | int) -> Any:
        with self.client() as client:
            reply: Any = client.execute_command(*words)
        return reply

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


def started_server(settings: dict[str, str] | None = None, tries: int = 3) -> Server:
    """A server on a free port, which another program may take before the server does."""
    server = Server(free_port(), settings or {})
    try:
        server.start()
    except LocalServerError:
        if tries == 1:
            raise
        return started_server(settings, tries - 1)
    return server


def free_port() -> int:
    """A port below 55536, so that a cluster's bus port, 10,000 above, exists."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if port < 55536:
            return port


@contextlib.asynccontextmanager
async def fake(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a handler of connections as a server; gives its host and port."""
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
    parts = urlsplit(url)
    if parts.scheme == "unix":
        back_reader, back_writer = await asyncio.open_unix_connection(parts.path)
    else:
        back_reader, back_writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = asyncio.create_task(relay(reader, back_writer, 2**60))
    await relay(back_reader, writer, reply_bytes)
    request.cancel()
    back_writer.close()
    await asyncio.wait((request,))
