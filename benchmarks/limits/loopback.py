"""The limit of the network: bytes to another process and back over TCP loopback.

`python -m benchmarks.limits.loopback` is that other process: it prints the port it listens on,
reads 16 bytes that tell the lengths of a request and its reply, then the request, and replies.
"""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.machine import REPOSITORY

LENGTHS = struct.Struct("<QQ")
NAME = "loopback round trip"


@dataclass(frozen=True, slots=True)
class Loopback:
    """A connection to the other process."""

    _connection: socket.socket

    def seconds(self, sent: int, received: int) -> float:
        """Wall seconds of one round trip with so many bytes each way."""
        request = LENGTHS.pack(sent, received) + bytes(sent)
        start = time.perf_counter()
        self._connection.sendall(request)
        _receive(self._connection, received)
        return time.perf_counter() - start


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Start the other process and connect to it."""
    command = [sys.executable, "-m", "benchmarks.limits.loopback"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # a pipe
        try:
            port = int(process.stdout.readline())
            with _undelayed(socket.create_connection(("127.0.0.1", port))) as connection:
                yield Loopback(connection)
        finally:
            process.kill()


def _undelayed(connection: socket.socket) -> socket.socket:
    """Without Nagle's algorithm, as Redis and PostgreSQL clients have it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _receive(connection: socket.socket, count: int) -> None:
    while count:
        received = len(connection.recv(min(count, 2**16)))
        if not received:
            raise ConnectionError("the other side has gone")
        count -= received


def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        with _undelayed(server.accept()[0]) as connection:
            while head := connection.recv(LENGTHS.size, socket.MSG_WAITALL):
                sent, received = LENGTHS.unpack(head)
                _receive(connection, sent)
                connection.sendall(bytes(received))


if __name__ == "__main__":
    _serve()
