"""Outages of PostgreSQL as its clients see them."""

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Passes connections on to the server at `dsn`.

    Shut, it breaks them off and refuses new ones; halted, it accepts and nothing is answered.
    It listens in `folder`: a port could be another's by the time it is opened again.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._host = query.get("host", [parts.hostname or "localhost"])[0]
        self._port = int(query.get("port", [parts.port or 5432])[0])
        self._name = f"{parts.username or 'postgres'}"
        self._path = parts.path
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()

    @property
    def dsn(self) -> str:
        return f"postgresql://{self._name}@{self._path}?host={self._folder}&port=5432"

    def halt(self) -> None:
        self._flowing.clear()

    async def open(self) -> None:
        self._flowing.set()
        if self._server is None:
            socket = self._folder / ".s.PGSQL.5432"
            self._server = await asyncio.start_unix_server(self._serve, socket)

    async def shut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._host.startswith("/"):
            socket = f"{self._host}/.s.PGSQL.{self._port}"
            server_reader, server_writer = await asyncio.open_unix_connection(socket)
        else:
            server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, server_writer}
        await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
        self._writers -= {writer, server_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
