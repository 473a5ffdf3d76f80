"""Real artefacts, as the runtime is given them."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.models.artifacts import copy_of
from vla_embeddings.models import MINILM, Artifact, ArtifactStore

T = TypeVar("T")


class Panic(BaseException):
    """Stands for `pyo3_runtime.PanicException`, which no Python code can make."""


def failing_once(load: Callable[[], T], fault: BaseException) -> Callable[[], T]:
    """A `load` whose first call fails."""
    faults = [fault]

    def fail_or_load() -> T:
        if faults:
            raise faults.pop()
        return load()

    return fail_or_load


def refuse_a_thread_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a system does at its limit, when the next thread is to be started."""
    start = threading.Thread.start
    allowed = failing_once(lambda: start, RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: allowed()(thread))


@pytest.fixture
def minilm(models_dir: Path) -> Artifact:
    """MiniLM in fp32."""
    return ArtifactStore(models_dir).open(MINILM, "fp32")


@pytest.fixture
def minilm_copy(minilm: Artifact, tmp_path: Path) -> Artifact:
    """MiniLM in fp32 in a store of its own, to be damaged."""
    return copy_of(minilm, tmp_path)
