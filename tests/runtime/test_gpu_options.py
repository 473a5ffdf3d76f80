"""TensorRT's profiles fit the graphs and the batches that the runtime sends."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from tests.models.artifacts import MANIFEST_OF_NOTHING
from vla_embeddings.models import MODELS, ArtifactStore, Model
from vla_embeddings.runtime.encoders import IMAGE_BATCH
from vla_embeddings.runtime.gpu_options import INPUTS, captured_shapes, engine_options, profile


def _options(model: Model, tensorrt: str = "10.13.3") -> dict[str, str]:
    manifest = replace(MANIFEST_OF_NOTHING, kind=model.kind, max_tokens=model.max_tokens)
    return dict(
        engine_options(manifest, engine=Path("e.onnx"), timings=Path("t"), tensorrt=tensorrt)
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_the_profiles_name_every_input_of_the_graph(models_dir: Path, model: Model) -> None:
    graph = onnx.load(
        ArtifactStore(models_dir).open(model, "fp32").graph, load_external_data=False
    )
    names = {entry.name for entry in graph.graph.input}

    assert set(INPUTS[model.kind]) == names
    options = _options(model)
    for which in ("min", "opt", "max"):
        shapes = options[f"trt_profile_{which}_shapes"].split(",")
        assert {shape.partition(":")[0] for shape in shapes} == names


def test_a_text_profile_spans_one_token_to_a_whole_batch() -> None:
    options = _options(MODELS[0])

    assert options["trt_profile_min_shapes"] == "input_ids:1x1,attention_mask:1x1"
    assert options["trt_profile_opt_shapes"] == "input_ids:1x16,attention_mask:1x16"
    assert options["trt_profile_max_shapes"] == "input_ids:32x256,attention_mask:32x256"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_single_calls_lie_within_the_profile(model: Model) -> None:
    manifest = replace(MANIFEST_OF_NOTHING, kind=model.kind, max_tokens=model.max_tokens)
    largest = profile(manifest).largest

    for shape in captured_shapes(model.kind):
        assert all(size <= most for size, most in zip(shape, largest, strict=True))


def test_a_batch_of_images_need_not_be_cut() -> None:
    image = next(model for model in MODELS if model.kind == "image")
    manifest = replace(MANIFEST_OF_NOTHING, kind="image", max_tokens=image.max_tokens)

    assert profile(manifest).largest == (IMAGE_BATCH, 224, 224, 3)


@pytest.mark.parametrize(
    ("version", "switch"), [("10.13.3", "1"), ("9.3.0", "1"), ("11.0.0", "0")]
)
def test_tensorrt_11_takes_its_precision_from_the_graph_alone(version: str, switch: str) -> None:
    assert _options(MODELS[0], version)["trt_fp16_enable"] == switch
