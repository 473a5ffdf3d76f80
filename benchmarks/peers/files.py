"""The weights of our artefacts in the forms that peers read."""

import json
import multiprocessing
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from vla_embeddings.models import CLIP_IMAGE, MINILM, Artifact

if TYPE_CHECKING:
    import torch


def peer_files(artifact: Artifact, root: Path) -> Path:
    """A folder below `root` with what peers need of an fp32 artefact's model, made once.

    For texts the checkpoint, the tokenizer, a plain fp32 export, `model.onnx`, that ends before
    the pooling, the same after optimum's optimisation, `optimized.onnx`, and our graph as
    `fused.onnx`. For images the PyTorch model, its processor's
    settings, a plain fp32 export from `pixel_values`, and faster-clip's folder of downloads.

    Raises:
        ModelNotFound: the checkpoint that the artefact was made from is not at hand.
    """
    folder = root / f"{artifact.manifest.model}-{artifact.manifest.graph_sha256[:16]}"
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as draft:
            stage = Path(draft) / "files"
            stage.mkdir()
            write = _write_image_files if artifact.manifest.kind == "image" else _write_text_files
            # In a process of its own: PyTorch's exporter leaves gigabytes behind.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                pool.submit(write, artifact, stage).result()
            stage.rename(folder)
    return folder


def _write_text_files(artifact: Artifact, folder: Path) -> None:
    import torch
    from transformers import BertModel
    from transformers.utils import logging

    from vla_embeddings.export.checkpoints import find_source

    source = find_source(MINILM)
    assert source.folder is not None  # MiniLM is never untrained
    for name in ("config.json", "model.safetensors"):
        shutil.copy(source.folder / name, folder)
    shutil.copy(artifact.tokenizer, folder)
    onnx.save(onnx.load(artifact.graph), folder / "fused.onnx")  # with all weights inside
    settings = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": MINILM.max_tokens,
        "pad_token": "[PAD]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    # The pooler's weights are left out on purpose.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers types it not
    network = BertModel.from_pretrained(
        folder, add_pooling_layer=False, attn_implementation="eager"
    )
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {name: torch.ones(2, 8, dtype=torch.int64) for name in names}
    _export(network, inputs, "last_hidden_state", ("batch", "tokens"), folder)
    _optimize(folder)


def _optimize(folder: Path) -> None:
    """Write `optimized.onnx` by optimum's O2: O3 approximates GELU, and O4 is for GPUs."""
    from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTOptimizer
    from optimum.onnxruntime.configuration import AutoOptimizationConfig

    model = ORTModelForFeatureExtraction.from_pretrained(folder, file_name="model.onnx")
    with tempfile.TemporaryDirectory() as made:
        config = AutoOptimizationConfig.O2()
        ORTOptimizer.from_pretrained(model).optimize(config, made, file_suffix="O2")
        shutil.copy(Path(made) / "model_O2.onnx", folder / "optimized.onnx")


def _write_image_files(artifact: Artifact, folder: Path) -> None:
    import torch
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    from vla_embeddings.export.checkpoints import find_source, untrained_source
    from vla_embeddings.export.references import load_reference
    from vla_embeddings.export.towers import ClipImageTower

    untrained = artifact.manifest.weights == "untrained"
    source = untrained_source() if untrained else find_source(CLIP_IMAGE)
    tower = load_reference(CLIP_IMAGE, source).tower
    assert isinstance(tower, ClipImageTower)
    network = CLIPVisionModelWithProjection(tower.vision.config)
    network.vision_model, network.visual_projection = tower.vision, tower.projection
    network.save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    pixels = {"pixel_values": torch.zeros(2, 3, 224, 224)}
    _export(network, pixels, "image_embeds", ("batch",), folder)
    downloads = folder / "faster-clip" / "sentence-transformers__clip-ViT-B-32" / "0_CLIPModel"
    downloads.mkdir(parents=True)
    (downloads / "model.safetensors").symlink_to("../../../model.safetensors")


def _export(
    network: "torch.nn.Module",
    inputs: "Mapping[str, torch.Tensor]",
    output: str,
    axes: Sequence[str],
    folder: Path,
) -> None:
    """Write `model.onnx`, whose first axes, those named, may have any length."""
    import torch

    dynamic = dict(enumerate(axes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's remarks on Python values
        torch.onnx.export(
            network.eval(),
            (),
            folder / "model.onnx",
            kwargs=dict(inputs),
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes=dict.fromkeys((*inputs, output), dynamic),
            opset_version=17,
            dynamo=False,
        )
