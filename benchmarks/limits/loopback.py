"""The limit of the network: bytes to another process of this machine and back.

`python -m benchmarks.limits.loopback [PATH]` is that other process: it listens on the unix socket
PATH, or on a TCP port of the loopback interface, and prints where; it reads 16 bytes that tell the
lengths of a request and its reply, then the request, and replies.
"""

import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.machine import REPOSITORY

LENGTHS = struct.Struct("<QQ")
ROOM = bytearray(2**16)
"""Takes what is received, and is not looked at."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """A connection to the other process."""

    name: str
    """Of the limit."""
    _connection: socket.socket

    def seconds(self, sent: int, received: int) -> float:
        """Wall seconds of one round trip with so many bytes each way."""
        request = _request(sent, received)
        start = time.perf_counter()
        self._connection.sendall(request)
        _receive(self._connection, received)
        return time.perf_counter() - start


@contextmanager
def loopback(*, unix: bool) -> Iterator[Loopback]:
    """Start the other process and connect to it, over a unix socket or TCP."""
    with tempfile.TemporaryDirectory() as folder:
        path = [str(Path(folder) / "socket")] if unix else []
        command = [sys.executable, "-m", "benchmarks.limits.loopback", *path]
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None  # a pipe
            try:
                with _connected(process.stdout.readline().strip()) as connection:
                    name = "unix socket" if unix else "loopback"
                    yield Loopback(f"{name} round trip", connection)
            finally:
                process.kill()


def _connected(address: str) -> socket.socket:
    if address.isdecimal():
        return _undelayed(socket.create_connection(("127.0.0.1", int(address))))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    return connection


def _undelayed(connection: socket.socket) -> socket.socket:
    """Without Nagle's algorithm, as Redis and PostgreSQL clients have it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


# Each is made once, as its own allocation is no part of what the network can do.
@cache
def _request(sent: int, received: int) -> bytes:
    return LENGTHS.pack(sent, received) + bytes(sent)


@cache
def _reply(length: int) -> bytes:
    return bytes(length)


def _receive(connection: socket.socket, count: int) -> None:
    while count:
        received = connection.recv_into(ROOM, min(count, len(ROOM)))
        if not received:
            raise ConnectionError("the other side has gone")
        count -= received


def _listening(path: str | None) -> socket.socket:
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    return socket.create_server(path, family=socket.AF_UNIX)


def _serve(path: str | None) -> None:
    with _listening(path) as server:
        print(path or server.getsockname()[1], flush=True)
        connection = server.accept()[0]
        with connection if path else _undelayed(connection):
            while head := connection.recv(LENGTHS.size, socket.MSG_WAITALL):
                sent, received = LENGTHS.unpack(head)
                _receive(connection, sent)
                connection.sendall(_reply(received))


if __name__ == "__main__":
    _serve(sys.argv[1] if len(sys.argv) > 1 else None)
