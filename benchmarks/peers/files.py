"""The weights of our artefacts in the forms that peers read."""

import json
import shutil
import tempfile
import warnings
from pathlib import Path

from vla_embeddings.models import CLIP_IMAGE, MINILM, Artifact


def peer_files(artifact: Artifact, root: Path) -> Path:
    """A folder below `root` with what peers need of an fp32 artefact's model, made once.

    For texts the checkpoint, our graph as `fused.onnx` and the tokenizer; for images the PyTorch
    model, its processor's settings and a plain fp32 export, `model.onnx`, from `pixel_values`.

    Raises:
        ModelNotFound: the checkpoint that the artefact was made from is not at hand.
    """
    graph = artifact.manifest.files[artifact.graph.name]
    folder = root / f"{artifact.manifest.model}-{graph.sha256[:16]}"
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as draft:
            stage = Path(draft) / "files"
            stage.mkdir()
            write = _write_image_files if artifact.manifest.kind == "image" else _write_text_files
            write(artifact, stage)
            stage.rename(folder)
    return folder


def _write_text_files(artifact: Artifact, folder: Path) -> None:
    from vla_embeddings.export.checkpoints import find_source

    source = find_source(MINILM)
    assert source.folder is not None  # MiniLM is never untrained
    for name in ("config.json", "model.safetensors"):
        shutil.copy(source.folder / name, folder)
    shutil.copy(artifact.tokenizer, folder)
    shutil.copy(artifact.graph, folder / "fused.onnx")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": MINILM.max_tokens,
        "pad_token": "[PAD]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's remarks on Python values
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, 224, 224),),
            folder / "model.onnx",
            input_names=["pixel_values"],
            output_names=["image_embeds"],
            dynamic_axes={"pixel_values": {0: "batch"}, "image_embeds": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
