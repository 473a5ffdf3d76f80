"""Eight bits keep an encoder's vectors, on every CPU and in every batch."""

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.inputs import real_instructions
from benchmarks.quality import (
    MAX_SPEARMAN_LOST,
    MIN_NEIGHBOURS_KEPT,
    MIN_TEXT_COSINE,
    cosines,
    neighbours_kept,
    spearman,
)
from tests.export.running import run
from tests.models.artifacts import copy_of, vouch_for
from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.export.calibration import calibration_feeds, observe
from vla_embeddings.export.parity import encode, measure
from vla_embeddings.export.precisions import count_operators
from vla_embeddings.export.quantization import INT8_OPERATORS, RECIPES, Recipe, quantize_graph
from vla_embeddings.export.quantized import read_quantization
from vla_embeddings.export.smoothing import smoothing_factors
from vla_embeddings.export.weights import save_graph
from vla_embeddings.models import (
    CLIP_IMAGE,
    CLIP_TEXT,
    MINILM,
    Artifact,
    ArtifactStore,
    Kind,
    Model,
)
from vla_embeddings.runtime import CPU_CHOICE, ImageEncoder, TextEncoder, preprocess
from vla_embeddings.samples import make_instructions, make_scenes

RNG = np.random.default_rng(0)
# One activation that rounds to its neighbour moves a vector by less than this.
BATCH_BOUND = 1e-3
FP32_SPEARMAN = 0.8672  # as tests/runtime/test_published.py has it
MODELS = (MINILM, CLIP_IMAGE, CLIP_TEXT)


@pytest.fixture(scope="module")
def quantized(
    models_dir: Path, int8_minilm: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> dict[Kind, Artifact]:
    """Every model in 8 bits, by its kind."""
    artifacts: dict[Kind, Artifact] = {"text": int8_minilm}
    for model in (CLIP_IMAGE, CLIP_TEXT):
        artifact = copy_of(
            ArtifactStore(models_dir).open(model, "fp32"), tmp_path_factory.mktemp(model.kind)
        )
        graph = quantize_graph(
            onnx.load(artifact.graph), RECIPES[model.kind], calibration_feeds(artifact)
        )
        save_graph(graph, artifact.graph)
        artifacts[model.kind] = vouch_for(artifact)
    return artifacts


def _vectors(service: EmbeddingService, texts: Sequence[str]) -> NDArray[np.float32]:
    return asyncio.run(service.batch_generate_embeddings(texts))["text_embeddings"]


def _product(weights: NDArray[np.float32], name: str = "product") -> ModelProto:
    """x @ weights."""
    rows, columns = weights.shape
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "weights"], ["y"], name)],
            "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", columns])],
            [numpy_helper.from_array(weights, "weights")],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )


def _run(graph: ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return run(graph, {"x": x})[0]


@pytest.mark.parametrize(
    ("model", "min_cosine"),
    [(MINILM, 0.99), (CLIP_IMAGE, 0.998), (CLIP_TEXT, 0.995)],
    ids=lambda value: value.kind if isinstance(value, Model) else None,
)
def test_vectors_stay_close_to_pytorchs(
    quantized: dict[Kind, Artifact], model: Model, min_cosine: float
) -> None:
    artifact = quantized[model.kind]
    with np.load(artifact.parity) as samples:
        inputs, expected = samples["inputs"], samples["expected"]

    vectors = encode(artifact, inputs.tolist() if inputs.dtype.kind == "U" else inputs)

    assert measure(vectors, expected).min_cosine >= min_cosine


@pytest.mark.parametrize(
    ("model", "attention", "products"),
    [(MINILM, 6, 24), (CLIP_IMAGE, 11, 41), (CLIP_TEXT, 11, 40)],
    ids=lambda value: value.kind if isinstance(value, Model) else None,
)
def test_every_product_by_a_constant_is_quantized_minilms_ffn_outputs_in_two_terms(
    quantized: dict[Kind, Artifact], model: Model, attention: int, products: int
) -> None:
    graph = onnx.load(quantized[model.kind].graph).graph
    constants = {entry.name for entry in graph.initializer}

    operators = [node.op_type for node in graph.node]

    assert operators.count("QAttention") == attention
    assert operators.count("MatMulIntegerToFloat") == products
    in_fp32 = [node for node in graph.node if node.op_type in ("Attention", "MatMul")]
    assert not [node for node in in_fp32 if node.input[1] in constants]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_the_manifest_names_which_products_are_in_how_many_terms(
    quantized: dict[Kind, Artifact], model: Model
) -> None:
    recipe = RECIPES[model.kind]

    found = read_quantization(quantized[model.kind].graph, recipe)

    assert [name.endswith(recipe.wide) for name in found.two_terms] == [True] * len(recipe.wide)
    assert found.fp32 == []
    products = count_operators(quantized[model.kind].graph, INT8_OPERATORS)
    assert len(found.one_term) + 2 * len(found.two_terms) == sum(products.values())
    assert (found.alpha, found.two_terms_alpha) == (recipe.alpha, recipe.wide_alpha)


def test_a_product_that_stayed_in_fp32_is_named(tmp_path: Path) -> None:
    fp32 = tmp_path / "fp32.onnx"
    onnx.save(_product(np.ones((4, 3), np.float32), "layer.0/output"), fp32)

    assert read_quantization(fp32, Recipe(0.5)).fp32 == ["layer.0/output"]


@pytest.mark.timeout(900)
def test_real_instructions_keep_their_neighbours_and_peoples_judgement(
    quantized: dict[Kind, Artifact], service: EmbeddingService, shared_data: Path
) -> None:
    """The bounds of docs/adr/0004-int8.md, on 5,000 of them and 1,500 pairs of sentences."""
    texts = real_instructions(shared_data, 5000)
    with (shared_data / "sts" / "stsb-en-dev.csv").open(encoding="utf-8", newline="") as file:
        first, second, scores = zip(*csv.reader(file), strict=True)
    store = quantized["text"].folder.parents[1]
    int8 = EmbeddingService(config=EmbeddingConfig(models_dir=store, precision="int8"))

    exact, rounded = _vectors(service, texts), _vectors(int8, texts)
    alike = cosines(_vectors(int8, first), _vectors(int8, second))
    int8.cleanup()

    assert np.percentile(cosines(exact, rounded), 1) >= MIN_TEXT_COSINE
    assert neighbours_kept(exact, rounded) >= MIN_NEIGHBOURS_KEPT
    judgement = spearman(alike.tolist(), [float(score) for score in scores])
    assert judgement >= FP32_SPEARMAN - MAX_SPEARMAN_LOST


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_products_add_their_biases_themselves(
    quantized: dict[Kind, Artifact], model: Model
) -> None:
    graph = onnx.load(quantized[model.kind].graph).graph
    biases = {entry.name for entry in graph.initializer if len(entry.dims) == 1}
    products = {
        output
        for node in graph.node
        if node.op_type == "MatMulIntegerToFloat"
        for output in node.output
    }

    sums = [node for node in graph.node if node.op_type == "Add"]

    assert products
    assert not [add for add in sums if biases & {*add.input} and products & {*add.input}]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_weights_are_too_small_to_overflow_16_bits_without_vnni(
    quantized: dict[Kind, Artifact], model: Model
) -> None:
    graph = onnx.load(quantized[model.kind].graph).graph
    largest = max(
        int(np.abs(numpy_helper.to_array(entry).astype(int)).max())
        for entry in graph.initializer
        if entry.data_type == TensorProto.INT8
    )

    assert largest == 63
    assert 2 * 255 * largest < 2**15


def test_a_batch_of_texts_equals_its_texts_one_by_one(quantized: dict[Kind, Artifact]) -> None:
    encoder = TextEncoder.load(quantized["text"], CPU_CHOICE, threads=2)
    texts = [*make_instructions(60), "go", "block " * 300]

    together = encoder.encode(texts)

    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=0, atol=BATCH_BOUND)


def test_a_batch_of_images_equals_its_images_one_by_one(quantized: dict[Kind, Artifact]) -> None:
    encoder = ImageEncoder.load(quantized["image"], CPU_CHOICE, threads=2)
    pixels = np.stack([preprocess(scene.image) for scene in make_scenes(5)])

    together = encoder.encode(pixels)

    alone = np.concatenate([encoder.encode(image[None]) for image in pixels])
    np.testing.assert_allclose(together, alone, rtol=0, atol=BATCH_BOUND)


def test_smoothing_saves_small_channels_from_a_large_one() -> None:
    weights = RNG.standard_normal((16, 8)).astype(np.float32)
    x = RNG.standard_normal((500, 16)).astype(np.float32)
    x[:, 3] *= 200
    plain = _product(weights)

    def error(alpha: float) -> float:
        quantized = quantize_graph(plain, Recipe(alpha), [{"x": x}])
        return float(np.abs(_run(quantized, x) - x @ weights).mean())

    assert error(0.5) < error(0.0) / 3


def test_dead_channels_and_dead_outputs_stay_finite() -> None:
    weights = RNG.standard_normal((4, 3)).astype(np.float32)
    weights[:, 1] = 0
    x = RNG.standard_normal((20, 4)).astype(np.float32)
    x[:, 2] = 0

    y = _run(quantize_graph(_product(weights), Recipe(0.5), [{"x": x}]), x)

    np.testing.assert_allclose(y, x @ weights, rtol=0, atol=0.1)
    assert not y[:, 1].any()


def test_two_terms_hold_what_one_rounds_away() -> None:
    """Beside one large value, and where one lies beyond all that the calibration saw."""
    weights = RNG.standard_normal((16, 8)).astype(np.float32)
    seen = RNG.standard_normal((500, 16)).astype(np.float32)
    seen[::50] *= 100  # whole rows: no smoothing of channels helps
    x = RNG.standard_normal((200, 16)).astype(np.float32)
    x[0] = 2 * np.abs(seen).max()
    plain = _product(weights, "layer.0/output")

    def error(recipe: Recipe) -> float:
        # Against weights that are rounded already: the activations' share alone.
        exact = x @ _rounded(weights, seen, recipe)
        return float(np.abs(_run(quantize_graph(plain, recipe, [{"x": seen}]), x) - exact).max())

    wide = Recipe(0.0, wide=("0/output",), wide_alpha=0.0)
    assert error(wide) < error(Recipe(0.0)) / 50


def _rounded(
    weights: NDArray[np.float32], seen: NDArray[np.float32], recipe: Recipe
) -> NDArray[np.float32]:
    """The weights as the quantised graph has them: 63 levels either side of zero an output."""
    factors = smoothing_factors(np.abs(seen).max(axis=0), weights, recipe.alpha)
    rows = weights * factors[:, None]
    steps = np.abs(rows).max(axis=0) / np.float32(63)
    rounded: NDArray[np.float32] = np.rint(rows / steps) * steps / factors[:, None]
    return rounded


def test_ranges_span_all_batches() -> None:
    batches = [{"x": np.array([[1, -5]], np.float32)}, {"x": np.array([[-2, 3]], np.float32)}]

    seen = observe(_product(np.eye(2, dtype=np.float32)), ["y"], batches)["y"]

    assert seen.low.tolist() == [-2, -5]
    assert seen.high.tolist() == [1, 3]
    assert seen.magnitude.tolist() == [2, 5]
