"""What a GPU session asks of ONNX Runtime, and what it does when it gets something else.

No GPU is needed: the session factory is replaced by one that runs the graph on the CPU.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.runtime.cuda import CudaRuntime, replace_onnxruntime
from tests.runtime.nvidia import Driver
from vla_embeddings.errors import InferenceError, ProviderUnavailable
from vla_embeddings.models import Artifact
from vla_embeddings.runtime import (
    CPU_CHOICE,
    ProviderChoice,
    Session,
    TextEncoder,
    diagnosis,
    gpu,
    gpu_session,
    session,
)
from vla_embeddings.runtime.captured import CapturedSession
from vla_embeddings.runtime.diagnosis import Fault
from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT

CUDA_CHOICE = ProviderChoice("cuda", (CUDA, CPU))
TEXTS = ["pick up the red block", "go", "move " * 80, "open the drawer and close it again"]


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> CudaRuntime:
    """A machine whose ONNX Runtime has CUDA, replaced in sessions."""
    return replace_onnxruntime(monkeypatch)


def test_cuda_shares_its_memory_and_keeps_fp32(factory: CudaRuntime, minilm: Artifact) -> None:
    loaded = Session.load(minilm, CUDA_CHOICE, threads=1)

    assert loaded.provider == CUDA
    [asked] = factory.asked
    assert list(asked) == [CUDA, CPU]
    assert asked[CUDA] == {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "enable_cuda_graph": "1",
    }


def test_the_memory_limit_is_handed_over_in_bytes(factory: CudaRuntime, minilm: Artifact) -> None:
    choice = ProviderChoice("cuda", (CUDA, CPU), gpu_memory_limit_mb=512)

    Session.load(minilm, choice, threads=1)

    assert factory.asked[0][CUDA]["gpu_mem_limit"] == str(512 * 1024 * 1024)


@pytest.mark.usefixtures("factory")
def test_single_texts_padded_to_a_captured_shape_have_the_same_vectors(
    minilm: Artifact, text_encoder: TextEncoder
) -> None:
    encoder = TextEncoder.load(minilm, CUDA_CHOICE, threads=2)

    for text in TEXTS:
        np.testing.assert_allclose(
            encoder.encode([text]), text_encoder.encode([text]), rtol=0, atol=1e-5
        )
    np.testing.assert_allclose(
        encoder.encode(TEXTS), text_encoder.encode(TEXTS), rtol=0, atol=1e-5
    )


def test_a_graph_that_cannot_be_captured_runs_without(
    factory: CudaRuntime,
    minilm: Artifact,
    text_encoder: TextEncoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    factory.captures = False

    vectors = TextEncoder.load(minilm, CUDA_CHOICE, threads=1).encode(["go"])

    assert "enable_cuda_graph" not in factory.asked[-1][CUDA]
    assert "without CUDA graphs" in caplog.text
    assert "not all nodes are on CUDA" in caplog.text
    np.testing.assert_allclose(vectors, text_encoder.encode(["go"]), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("factory")
def test_no_model_is_loaded_while_another_is_captured(
    minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime waits for the whole GPU when it makes a session, which loses a capture."""
    might_load = []

    def another_might_load() -> bool:
        if free := gpu_session.ONE_AT_A_TIME.acquire(blocking=False):
            gpu_session.ONE_AT_A_TIME.release()
        return free

    def captured(*arguments: Any) -> CapturedSession:
        might_load.append(lane.submit(another_might_load).result())
        return CapturedSession(*arguments)

    monkeypatch.setattr(gpu_session, "CapturedSession", captured)

    with ThreadPoolExecutor(1) as lane:
        Session.load(minilm, CUDA_CHOICE, threads=1)
        might_load.append(lane.submit(another_might_load).result())

    assert might_load == [False, True]


@pytest.mark.usefixtures("factory")
def test_a_model_runs_while_another_is_captured(
    minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime captures in the global mode, 0, which fails allocations on other threads."""
    driver = Driver()
    monkeypatch.setattr(gpu, "_load_driver", lambda: driver)

    with ThreadPoolExecutor(1) as lane:
        lane.submit(Session.load, minilm, CUDA_CHOICE, threads=1).result()
        thread = lane.submit(threading.get_ident).result()

    assert driver.capture_modes == {thread: 1}


def test_where_a_capture_fails_while_it_runs_the_model_runs_without(
    factory: CudaRuntime,
    minilm: Artifact,
    text_encoder: TextEncoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    factory.bound_runs_fail = "CUDA failure 900: operation not permitted when stream is capturing"

    vectors = TextEncoder.load(minilm, CUDA_CHOICE, threads=1).encode(["go"])

    assert factory.beside == [0, 0]  # the GPU never holds the model twice
    assert "without CUDA graphs: CUDA graphs cannot be captured: " in caplog.text
    assert "CUDA failure 900" in caplog.text
    np.testing.assert_allclose(vectors, text_encoder.encode(["go"]), rtol=0, atol=1e-5)


def test_a_replay_that_fails_in_a_request_tells_provider_and_shapes(
    factory: CudaRuntime, minilm: Artifact
) -> None:
    encoder = TextEncoder.load(minilm, CUDA_CHOICE, threads=1)
    factory.bound_runs_fail = "CUDA failure 700: an illegal memory access was encountered"

    with pytest.raises(InferenceError, match=rf"{CUDA} failed on inputs .*CUDA failure 700"):
        encoder.encode(["go"])


def test_a_gpu_that_falls_back_to_the_cpu_in_silence_is_refused(
    factory: CudaRuntime, minilm: Artifact
) -> None:
    factory.comes = CPU

    with pytest.raises(ProviderUnavailable, match=rf"{CUDA} did not start.*device='cpu'"):
        Session.load(minilm, CUDA_CHOICE, threads=1)


def test_a_gpu_that_leaves_products_and_attention_to_the_cpu_is_refused(
    factory: CudaRuntime, minilm: Artifact
) -> None:
    """Although its provider is the first of the session's."""
    factory.leaves = ("MatMul", "Attention", "Shape")

    with pytest.raises(
        ProviderUnavailable,
        match=r"left \d+ MatMul, 6 Attention of .*model\.onnx to the CPU.*--precision fp16",
    ):
        Session.load(minilm, CUDA_CHOICE, threads=1)


def test_shapes_may_be_computed_on_the_cpu(factory: CudaRuntime, minilm: Artifact) -> None:
    factory.leaves = ("Cast",)

    operators = Session.load(minilm, CUDA_CHOICE, threads=1).placement()

    assert set(operators[CPU]) == {"Cast"}
    assert operators[CUDA]["Attention"] == 6


def test_the_library_that_a_provider_missed_is_named(
    factory: CudaRuntime, minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.comes = CPU
    fault = Fault(f"{CUDA} cannot be loaded: libcublasLt.so.13: no such file", "Install it")
    monkeypatch.setattr(gpu_session, "find_missing_library", lambda *_: fault)

    with pytest.raises(ProviderUnavailable, match=r"'cuda': .*libcublasLt\.so\.13.* Install it"):
        Session.load(minilm, CUDA_CHOICE, threads=1)


@pytest.mark.usefixtures("factory")
def test_a_gpu_without_cudnn_is_refused_before_a_call_fails(
    minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `auto` takes the CPU; the provider itself comes up without cuDNN."""
    words = "libcudnn.so.9: cannot open shared object file"
    monkeypatch.setattr(gpu_session, "find_missing_cudnn", diagnosis.find_missing_cudnn)
    monkeypatch.setattr(diagnosis, "missing_cudnn", lambda: words)

    with pytest.raises(
        ProviderUnavailable, match=rf"cuDNN cannot be loaded: {words}.*vla-embeddings\[gpu\]"
    ):
        Session.load(minilm, CUDA_CHOICE, threads=1)


def test_what_onnxruntime_says_is_passed_on_where_no_library_is_missing(
    factory: CudaRuntime, minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.fails = "CUDA failure 2: out of memory"
    monkeypatch.setattr("vla_embeddings.runtime.gpu_session.find_missing_library", lambda *_: None)
    limited = ProviderChoice("cuda", (CUDA, CPU), gpu_memory_limit_mb=256)

    with pytest.raises(ProviderUnavailable, match=r"out of memory.*vla-embeddings doctor"):
        Session.load(minilm, CUDA_CHOICE, threads=1)
    with pytest.raises(ProviderUnavailable, match="GPU_MEMORY_LIMIT_MB=256"):
        Session.load(minilm, limited, threads=1)


def test_the_memory_limit_is_no_word_to_tensorrt_which_heeds_none(
    factory: CudaRuntime, minilm: Artifact
) -> None:
    factory.fails = "out of memory"
    limited = ProviderChoice(
        "tensorrt", (TENSORRT, CUDA, CPU), minilm.graph, gpu_memory_limit_mb=256
    )

    with pytest.raises(ProviderUnavailable, match="out of memory") as caught:
        Session.load(minilm, limited, threads=1)

    assert "gpu_mem_limit" not in factory.asked[0][TENSORRT]
    assert "GPU_MEMORY_LIMIT_MB" not in str(caught.value)


def test_tensorrt_loads_the_engine_in_place_of_the_graph_and_cuts_what_is_too_large(
    factory: CudaRuntime, minilm: Artifact, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    engine = tmp_path / "engine.onnx"
    onnx.save(onnx.load(minilm.graph), engine)  # with its weights inside
    factory.comes = TENSORRT
    loaded = Session.load(
        minilm, ProviderChoice("tensorrt", (TENSORRT, CUDA, CPU), engine), threads=1
    )
    encoder = TextEncoder(loaded, text_encoder.tokenizer)
    texts = [f"pick {i}" for i in range(60)]  # beyond the 32 rows of the engine's profile

    assert factory.graphs == [str(engine)]
    assert list(factory.asked[0]) == [TENSORRT, CUDA, CPU]
    assert factory.asked[0][TENSORRT] == {}  # nothing in it could start a build
    np.testing.assert_allclose(
        encoder.encode(texts), text_encoder.encode(texts), rtol=0, atol=1e-5
    )


def test_the_cpu_is_asked_for_nothing_of_this(
    minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(session, "open_gpu_session")

    assert Session.load(minilm, CPU_CHOICE, threads=1).provider == CPU
