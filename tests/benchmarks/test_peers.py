"""Peers run in processes of their own, and say why where they cannot."""

import sys
from dataclasses import replace
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from benchmarks.bench import Bench
from benchmarks.peers.adapter import Place
from benchmarks.peers.backends import require_cuda
from benchmarks.peers.encoders import ENCODERS
from benchmarks.peers.environment import (
    Group,
    PeerEnvironment,
    PeerFailed,
    make_environment,
    requirements_of,
)
from benchmarks.peers.peer import compete
from benchmarks.peers.process import start_worker
from benchmarks.peers.store import start_store
from benchmarks.peers.stores import STORES, StoreInputs
from benchmarks.results import Absence
from vla_embeddings.models import MINILM, ArtifactStore

INPUTS = StoreInputs(["a"], np.ones((1, 384), np.float32), np.ones((1, 384), np.float32))
HERE = PeerEnvironment(Path(sys.executable), None)


def test_peers_that_cannot_be_installed_are_named_with_the_reason(bench: Bench) -> None:
    environment = PeerEnvironment(Path("python"), "cannot be installed: no network")
    texts = ["pick up the cup"]
    with compete(environment, "text", texts, bench.fp32, bench.place) as (peers, absences):
        assert peers == []
    assert Absence("fastembed (text)", "cannot be installed: no network") in absences
    assert len(absences) == 7


def test_a_python_that_makes_no_environment_with_pip_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's is without python3-venv."""

    def fail(*_: object, **settings: object) -> None:
        raise CalledProcessError(1, ["python", "-m", "ensurepip"])

    monkeypatch.setattr("benchmarks.peers.environment.ARTIFACTS", tmp_path)
    monkeypatch.setattr("benchmarks.peers.environment.venv.create", fail)
    assert "ensurepip" in (make_environment("encoders").failure or "")


def test_peers_whose_files_another_pytorch_does_not_export_are_named_with_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise RuntimeError("PyTorch 2.11 has no such option")

    monkeypatch.setattr("benchmarks.peers.peer.peer_files", fail)
    with compete(HERE, "text", ["go"], bench.fp32, bench.place) as (peers, absences):
        assert peers == []
    assert Absence("fastembed (text)", "PyTorch 2.11 has no such option") in absences


def test_a_peer_for_cpus_alone_is_absent_on_a_gpu(bench: Bench) -> None:
    environment = PeerEnvironment(Path("python"), "cannot be installed: no network")
    place = replace(bench, device="cuda").place
    with compete(environment, "image", [b""], bench.fp32, place) as (_, absences):
        reasons = {each.contender: each.reason for each in absences}
    assert reasons["openvino (image)"] == "has no support for NVIDIA's GPUs"
    assert reasons["fastembed (image)"] == "cannot be installed: no network"


def test_a_peer_that_computes_in_half_precision_on_a_gpu_is_called_so() -> None:
    adapter = ENCODERS["text", "transformers"]
    assert adapter.name_in(Place("cuda", 2), "transformers") == "transformers, fp16"
    assert adapter.name_in(Place("cpu", 2), "transformers") == "transformers"


def test_a_session_that_was_left_to_the_cpu_is_not_taken_for_one_on_a_gpu(
    models_dir: Path,
) -> None:
    artifact = ArtifactStore(models_dir).open(MINILM, "fp32")
    left = onnxruntime.InferenceSession(artifact.graph, providers=["CPUExecutionProvider"])
    with pytest.raises(RuntimeError, match="left it to CPUExecutionProvider"):
        require_cuda()
    del left


def test_a_peer_that_does_not_come_up_says_why() -> None:
    with (
        pytest.raises(PeerFailed, match="ModuleNotFoundError: No module named 'vecs'"),
        start_store(HERE, "vecs", "postgresql://nowhere", INPUTS),
    ):
        pytest.fail("it came up")


def test_a_peer_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    arguments = ["nameless", "", str(tmp_path)]
    module, log = "benchmarks.peers.store_worker", tmp_path / "log"
    with start_worker(HERE.python, module, arguments, log) as worker:
        with pytest.raises(PeerFailed, match="nameless"):
            worker.heard()
        with pytest.raises(PeerFailed, match="ended"):
            worker.heard()
        with pytest.raises(PeerFailed, match="ended"):
            worker.ask({"step": "find", "query": 0})


def test_the_encoders_are_those_of_the_extra_and_the_stores_of_their_file() -> None:
    groups: dict[Group, str] = {"encoders": "fastembed==", "stores": "vecs=="}
    for group, package in groups.items():
        pins = requirements_of(group)
        assert any(pin.startswith(package) for pin in pins)
        assert all("==" in pin for pin in pins)
    encoders = {pin.partition("==")[0] for pin in requirements_of("encoders")}
    assert {adapter.package for adapter in ENCODERS.values()} <= encoders


def test_a_look_up_in_redisvl_renews_no_lifetime_and_reads_replies_in_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lifetimes: list[dict[str, object]] = []

    class EmbeddingsCache:
        """Notes what it is told of lifetimes."""

        def __init__(self, *, name: str, redis_url: str, **settings: object) -> None:
            lifetimes.append(settings)

        def mset(self, items: list[object], **settings: object) -> None:
            lifetimes.append(settings)

    module = SimpleNamespace(EmbeddingsCache=EmbeddingsCache)
    monkeypatch.setitem(sys.modules, "redisvl.extensions.cache.embeddings", module)
    STORES["redisvl"].start("redis://nowhere", INPUTS)["store"](0)
    # That of the cache itself is renewed for every entry found, one round trip each.
    assert lifetimes == [{}, {"ttl": 600}]
    assert {"redis", "hiredis"} <= {*STORES["redisvl"].on}
    assert any(pin.startswith("hiredis==") for pin in requirements_of("stores"))


def test_a_stores_inputs_are_read_as_they_were_written(tmp_path: Path) -> None:
    INPUTS.write(tmp_path)
    read = StoreInputs.read(tmp_path)
    assert read.texts == INPUTS.texts
    assert np.array_equal(read.vectors, INPUTS.vectors)
