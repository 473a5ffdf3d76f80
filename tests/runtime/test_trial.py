"""A provider is tried with a graph of one operator."""

import onnx
import pytest

from tests.runtime.cuda import CudaRuntime, gpu_machine
from vla_embeddings.errors import ProviderUnavailable
from vla_embeddings.runtime import ProviderChoice, trial
from vla_embeddings.runtime.providers import CPU, CUDA
from vla_embeddings.runtime.trial import require_provider

CHOICE = ProviderChoice("cuda", (CUDA, CPU))


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> CudaRuntime:
    return gpu_machine(monkeypatch)


def test_the_graph_is_one_operator_of_onnxs_own() -> None:
    graph = onnx.load_from_string(trial._RELU)

    onnx.checker.check_model(graph, full_check=True)
    assert [node.op_type for node in graph.graph.node] == ["Relu"]


def test_a_provider_that_comes_up_is_accepted_without_a_file(runtime: CudaRuntime) -> None:
    require_provider(runtime, CHOICE)

    assert runtime.graphs == [trial._RELU]


def test_one_that_leaves_the_work_to_the_cpu_is_not(runtime: CudaRuntime) -> None:
    runtime.comes = CPU

    with pytest.raises(ProviderUnavailable, match=f"{CUDA} did not start"):
        require_provider(runtime, CHOICE)
