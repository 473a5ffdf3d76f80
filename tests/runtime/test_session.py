"""A session runs what was asked for, where it was asked for, or says why not."""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.models.artifacts import vouch_for
from tests.runtime.conftest import refuse_a_thread_once
from vla_embeddings.errors import ArtifactDamaged, InferenceError
from vla_embeddings.models import WEIGHTS, Artifact
from vla_embeddings.runtime import CPU_CHOICE, Session, onnxruntime, session
from vla_embeddings.runtime.providers import CPU

REMEDY = "vla-embeddings export --model text --precision fp32"
PATIENCE = 10  # seconds


def _load(artifact: Artifact) -> Session:
    return Session.load(artifact, CPU_CHOICE, threads=1)


def test_a_loaded_graph_tells_its_provider_inputs_and_dimension(minilm: Artifact) -> None:
    loaded = _load(minilm)

    assert loaded.provider == CPU
    assert loaded.input_names == ("input_ids", "attention_mask")
    assert loaded.dimension == 384


def test_the_callers_thread_keeps_its_subnormal_numbers(minilm: Artifact) -> None:
    """An option of ONNX Runtime would make them zero in every thread that loads or runs."""
    ids = np.ones((1, 4), np.int64)
    _load(minilm).run({"input_ids": ids, "attention_mask": ids})

    assert np.nextafter(0.0, 1.0) * 1.0 > 0


def test_layer_norms_of_a_cpu_graph_stay_apart_from_their_additions(
    minilm: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would fuse them at load, and run them several times slower."""
    optimized, options_of = tmp_path / "optimized.onnx", session._options

    def options_that_save(ort: Any, threads: int) -> Any:
        options = options_of(ort, threads)
        options.optimized_model_filepath = str(optimized)
        return options

    monkeypatch.setattr(session, "_options", options_that_save)
    _load(minilm)

    graph = onnx.load(optimized, load_external_data=False).graph
    operators = Counter(node.op_type for node in graph.node)
    assert operators["LayerNormalization"] == 13
    assert operators["SkipLayerNormalization"] == 0


def _new_threads_places(
    minilm: Artifact, threads: int, expected: list[set[int]]
) -> list[set[int]]:
    """The CPUs that each thread of a session may run on, as soon as they are those expected.

    A thread goes to its place by itself once it has a turn, and others of this process end.
    """
    onnxruntime()  # which starts a thread of its own when it is imported
    before = set(os.listdir("/proc/self/task"))
    loaded = Session.load(minilm, CPU_CHOICE, threads=threads)
    deadline = time.monotonic() + PATIENCE
    while (places := _places_of_threads_but(before)) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert loaded.dimension == 384
    return places


def _places_of_threads_but(others: set[str]) -> list[set[int]]:
    places = []
    for thread in set(os.listdir("/proc/self/task")) - others:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            places.append(os.sched_getaffinity(int(thread)))
    return sorted(places, key=min)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU")
@pytest.mark.skipif(
    os.getpriority(os.PRIO_PROCESS, 0) > 0, reason="the tests were started with less priority"
)
def test_threads_for_all_cpus_have_one_each_but_the_callers(minilm: Artifact) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    expected = [{cpu} for cpu in cpus[1:]]

    assert _new_threads_places(minilm, len(cpus), expected) == expected


def test_threads_of_low_priority_run_on_any_cpu(
    minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpus = os.sched_getaffinity(0)
    monkeypatch.setattr(session, "priority", lambda: 5)

    expected = [cpus] * (len(cpus) - 1)

    assert _new_threads_places(minilm, len(cpus), expected) == expected


def test_threads_for_other_than_all_cpus_run_on_any(minilm: Artifact) -> None:
    cpus = os.sched_getaffinity(0)
    expected = [cpus] * len(cpus)

    assert _new_threads_places(minilm, len(cpus) + 1, expected) == expected


def test_a_loaded_graph_tells_which_provider_runs_its_operators(minilm: Artifact) -> None:
    placement = _load(minilm).placement()

    assert placement.keys() == {CPU}
    assert placement[CPU]["Attention"] == 6
    assert placement[CPU]["BiasGelu"] == 6


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x08\x12"], ids=repr)
def test_a_graph_that_is_none_names_the_command_although_its_digest_agrees(
    minilm_copy: Artifact, content: bytes
) -> None:
    minilm_copy.graph.write_bytes(content)

    with pytest.raises(ArtifactDamaged, match=REMEDY):
        _load(vouch_for(minilm_copy))


def test_half_a_graph_names_the_command_although_its_digest_agrees(minilm_copy: Artifact) -> None:
    whole = minilm_copy.graph.read_bytes()
    minilm_copy.graph.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ArtifactDamaged, match=REMEDY):
        _load(vouch_for(minilm_copy))


@pytest.mark.parametrize("kept", [0, 4096, -4096])
def test_weights_cut_short_name_the_command_although_their_digest_agrees(
    minilm_copy: Artifact, kept: int
) -> None:
    weights = minilm_copy.folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:kept])

    with pytest.raises(ArtifactDamaged, match=REMEDY):
        _load(vouch_for(minilm_copy))


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.runtime import CPU_CHOICE, Session, onnxruntime

artifact = ArtifactStore(Path(sys.argv[1])).open(MINILM, "fp32")
onnxruntime()
used = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
try:
    Session.load(artifact, CPU_CHOICE, threads=1)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("megabytes", [30, 80])
def test_too_little_memory_is_not_the_artefacts_fault(models_dir: Path, megabytes: int) -> None:
    """ONNX Runtime reports it as of another class while it reads the graph than afterwards."""
    result = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(models_dir), str(megabytes)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert result.stdout.startswith("InferenceError "), result.stdout + result.stderr
    assert "Free memory" in result.stdout
    assert "Make it anew" not in result.stdout


def test_a_changed_file_is_never_loaded(minilm_copy: Artifact) -> None:
    with minilm_copy.tokenizer.open("a") as file:
        file.write(" ")

    with pytest.raises(ArtifactDamaged, match=rf"tokenizer.json has .* bytes.*{REMEDY}"):
        _load(minilm_copy)


def test_another_weight_is_never_loaded_although_the_graph_can_be(minilm_copy: Artifact) -> None:
    weights = minilm_copy.folder / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)

    with pytest.raises(ArtifactDamaged, match=rf"{WEIGHTS} has another SHA-256 .*{REMEDY}"):
        _load(minilm_copy)


def test_an_artefact_exported_anew_while_it_loads_is_not_mixed_with_what_was(
    minilm_copy: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime opens the weights long after the graph; the digests may be done by then."""
    verify = Artifact.verify

    def verify_then_swap(artifact: Artifact) -> None:
        verify(artifact)
        weights = artifact.folder / WEIGHTS
        another = weights.with_suffix(".new")
        another.write_bytes(weights.read_bytes())
        another.replace(weights)

    monkeypatch.setattr(Artifact, "verify", verify_then_swap)
    with pytest.raises(ArtifactDamaged, match="exported anew while it was loaded"):
        _load(minilm_copy)
    monkeypatch.undo()

    assert _load(minilm_copy).dimension == 384


LATE = """
import sys, threading
from pathlib import Path
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.runtime import CPU_CHOICE, Session

def load():
    main.join()
    artifact = ArtifactStore(Path(sys.argv[1])).open(MINILM, "fp32")
    print(Session.load(artifact, CPU_CHOICE, threads=1).dimension, flush=True)

main = threading.main_thread()
threading.Thread(target=load).start()
"""


def test_a_thread_that_outlives_the_main_one_loads_a_model(models_dir: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LATE, str(models_dir)], capture_output=True, text=True, timeout=60
    )

    assert result.stdout == "384\n", result.stderr


def test_without_a_thread_to_check_the_files_nothing_is_loaded(
    minilm: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_a_thread_once(monkeypatch)

    with pytest.raises(InferenceError, match="No thread can be had"):
        _load(minilm)

    assert _load(minilm).dimension == 384


def test_a_failure_in_the_graph_tells_provider_and_shapes(minilm: Artifact) -> None:
    beyond_the_vocabulary = np.full((1, 3), 10**6)

    with pytest.raises(InferenceError, match=rf"{CPU} failed on inputs .*\(1, 3\)"):
        _load(minilm).run(
            {
                "input_ids": beyond_the_vocabulary,
                "attention_mask": np.ones_like(beyond_the_vocabulary),
            }
        )


def test_a_failure_leaves_the_session_usable(minilm: Artifact) -> None:
    loaded = _load(minilm)
    with pytest.raises(InferenceError):
        loaded.run({})

    ones = np.ones((2, 5), np.int64)
    vectors = loaded.run({"input_ids": ones, "attention_mask": ones})

    assert vectors.shape == (2, 384)
    assert vectors.dtype == np.float32
