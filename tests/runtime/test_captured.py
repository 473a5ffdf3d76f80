"""Captured runs compute what plain runs do, for the shapes that fit and on the thread that may."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from vla_embeddings.errors import InferenceError
from vla_embeddings.models import CLIP_IMAGE, Artifact, ArtifactStore
from vla_embeddings.runtime.captured import CapturedSession
from vla_embeddings.runtime.gpu_options import captured_shapes

NOT_PERMITTED = "CUDA failure 900: operation not permitted when stream is capturing"


class Counting:
    """A real session that counts bound and plain runs, and adds noise or a fault to bound ones."""

    def __init__(self, artifact: Artifact, noise: float = 0, fails: str = "") -> None:
        self._session = onnxruntime.InferenceSession(
            str(artifact.graph), providers=["CPUExecutionProvider"]
        )
        self.noise = noise
        self.fails = fails
        self.bound = self.plain = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]], options: Any) -> Any:
        assert options.get_run_config_entry("gpu_graph_id") == "-1"
        self.plain += 1
        return self._session.run(names, inputs, options)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        assert int(options.get_run_config_entry("gpu_graph_id")) >= 1
        self.bound += 1
        if self.fails:
            raise Fail(self.fails)
        self._session.run_with_iobinding(binding, options)
        if self.noise:
            [output] = binding.get_outputs()
            output.update_inplace(output.numpy() + np.float32(self.noise))


def _texts(rows: int, tokens: int) -> dict[str, NDArray[np.int64]]:
    ids = np.random.default_rng(tokens).integers(1000, 2000, (rows, tokens))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.mark.parametrize(
    ("rows", "tokens", "replays"), [(1, 3, 1), (1, 16, 1), (1, 17, 1), (1, 33, 0), (2, 3, 0)]
)
def test_what_fits_a_captured_shape_is_replayed_with_the_plain_runs_vectors(
    minilm: Artifact, rows: int, tokens: int, replays: int
) -> None:
    counting = Counting(minilm)
    captured = CapturedSession(onnxruntime, counting, [(1, 16), (1, 32)], "cpu")
    inputs, before = _texts(rows, tokens), counting.bound

    [vectors] = captured.run(None, inputs)

    assert counting.bound - before == replays
    expected: Sequence[Any] = counting._session.run(None, inputs)
    np.testing.assert_allclose(vectors, expected[0], rtol=0, atol=1e-5)


def test_other_threads_run_plain(minilm: Artifact) -> None:
    counting = Counting(minilm)
    captured = CapturedSession(onnxruntime, counting, [(1, 16)], "cpu")
    before = counting.bound

    with ThreadPoolExecutor(1) as pool:
        pool.submit(captured.run, None, _texts(1, 4)).result()

    assert counting.bound == before


def test_a_vector_stays_what_it_was_when_the_next_one_is_computed(minilm: Artifact) -> None:
    captured = CapturedSession(onnxruntime, Counting(minilm), [(1, 16)], "cpu")

    [first] = captured.run(None, _texts(1, 4))
    kept = first.copy()
    captured.run(None, _texts(1, 9))

    np.testing.assert_array_equal(first, kept)


def test_a_capture_that_computes_something_else_is_refused(minilm: Artifact) -> None:
    with pytest.raises(InferenceError, match=r"shape \(1, 16\) differs .* by 1\.\de-02"):
        CapturedSession(onnxruntime, Counting(minilm, noise=0.01), [(1, 16)], "cpu")


def test_a_capture_is_tried_with_the_masks_of_a_long_and_a_short_text(minilm: Artifact) -> None:
    """The graph sums a mask to the tokens of a text; a sum past the text's end is read past it."""
    tried: list[tuple[set[int], list[int]]] = []

    class Noting(Counting):
        def run(self, names: None, inputs: Mapping[str, NDArray[Any]], options: Any) -> Any:
            tried.append((set(inputs["input_ids"].flat), inputs["attention_mask"][0].tolist()))
            return super().run(names, inputs, options)

    CapturedSession(onnxruntime, Noting(minilm), [(1, 16)], "cpu")

    assert tried == [({1}, [1] * 16), ({2}, [1] * 8 + [0] * 8)]


def test_a_capture_that_onnxruntime_refuses_is_an_error_of_ours(minilm: Artifact) -> None:
    counting = Counting(minilm, fails=NOT_PERMITTED)

    with pytest.raises(InferenceError, match=r"cannot be captured: .*CUDA failure 900"):
        CapturedSession(onnxruntime, counting, [(1, 16)], "cpu")


def test_one_image_is_replayed(models_dir: Path) -> None:
    counting = Counting(ArtifactStore(models_dir).open(CLIP_IMAGE, "fp32"))
    captured = CapturedSession(onnxruntime, counting, captured_shapes("image"), "cpu")
    before = counting.bound
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)

    [vectors] = captured.run(None, {"pixels": pixels})

    assert counting.bound == before + 1
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)
