"""On a GPU the same suites run, in its precisions and beside its targets.

No GPU is needed: ONNX Runtime is replaced by one that runs the graphs on the CPU.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest

from benchmarks.bench import Bench
from benchmarks.limits import gemm
from benchmarks.results import Findings
from benchmarks.suites import ENCODING, SUITES
from benchmarks.targets import ONE_INSTRUCTION
from tests.runtime.cuda import CudaRuntime, replace_onnxruntime
from vla_embeddings.runtime import ProviderChoice, selection
from vla_embeddings.runtime.providers import CPU, CUDA


@pytest.fixture(scope="module")
def runtime() -> Iterator[CudaRuntime]:
    """Stands for ONNX Runtime on a machine with CUDA."""
    with pytest.MonkeyPatch.context() as patch:
        made = replace_onnxruntime(patch)
        choice = ProviderChoice("cuda", (CUDA, CPU))
        patch.setattr(selection, "choose_providers", lambda device: choice)
        patch.setattr(gemm, "onnxruntime", lambda: made)
        patch.setattr(gemm, "GPU_SIDE", 64)
        yield made


@pytest.fixture(scope="module")
def find(bench: Bench, runtime: CudaRuntime) -> Callable[[str], Findings]:
    """What a suite of the tiny run finds on the stand-in, by its name; each runs once."""
    on_gpu = replace(bench, device="cuda", size=replace(bench.size, curve_turns=0))
    return cache(lambda name: SUITES[name](on_gpu))


@pytest.mark.parametrize("name", ["latency", "throughput", "concurrency", "backfill", "quality"])
def test_a_suite_measures_the_models_on_the_device(
    name: str, find: Callable[[str], Findings], runtime: CudaRuntime
) -> None:
    runtime.asked.clear()

    findings = find(name)

    subjects = {row.subject for row in findings.rows}
    assert subjects & {"ours fp16, cuda", "ours, backfill"}
    assert not subjects & {"ours int8", "ours fp32"}
    assert all(CUDA in asked for asked in runtime.asked)
    assert runtime.asked


def test_single_calls_stand_beside_the_documents_figures_for_a_gpu(
    find: Callable[[str], Findings],
) -> None:
    findings = find("latency")

    ours = [row for row in findings.rows if row.work == ONE_INSTRUCTION and "ours" in row.subject]
    assert {row.document for row in ours} == {3}
    assert [row.limit for row in ours] == ["sgemm peak", "fp16 GEMM peak"]
    [verdict] = [each for each in findings.verdicts if each.work == ONE_INSTRUCTION]
    assert (verdict.subject, verdict.bound) == ("ours fp16, cuda", 1.0)


def test_a_gpu_is_asked_for_what_it_makes_a_difference_to() -> None:
    assert set(ENCODING) < set(SUITES)
    assert not {"cache", "search", "recorder", "micro"} & set(ENCODING)
