"""The parts of the PyTorch models that become graphs: raw input in, unit vectors out.

Pooling, projection, pixel normalisation and the final L2 normalisation are inside the graph, so
nothing is left for Python to do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import BertModel, CLIPModel, PretrainedConfig
from transformers.models.clip.modeling_clip import CLIPEncoder, CLIPEncoderLayer


class Tower(nn.Module):
    """A module with the `config` that optimum's exporter expects of a model."""

    config: PretrainedConfig
    fusable: bool = True
    """Traced as ONNX Runtime's fusions know it; else as it is, for other compilers."""


class MiniLmTower(Tower):
    """Token ids and attention mask, both (n, tokens) int64, to unit vectors (n, 384).

    Mean pooling over the tokens of the mask, as sentence-transformers does for this model.
    """

    positions: Tensor

    def __init__(self, network: BertModel) -> None:
        super().__init__()
        self.config = network.config
        self.network = network
        embeddings = network.embeddings
        # Every token is of type 0.
        first_type = embeddings.token_type_embeddings.weight[0]
        positions = embeddings.position_embeddings.weight + first_type
        self.register_buffer("positions", positions.detach())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        embeddings = self.network.embeddings
        words = embeddings.word_embeddings(input_ids)
        hidden = embeddings.LayerNorm(words + self.positions[: input_ids.shape[1]])
        mask = self.network.get_extended_attention_mask(attention_mask, input_ids.shape)
        hidden = self.network.encoder(hidden, attention_mask=mask).last_hidden_state
        weights = attention_mask.to(hidden.dtype)
        weights = weights / weights.sum(1, keepdim=True)
        return _unit((weights.unsqueeze(1) @ hidden).squeeze(1))


class ClipImageTower(Tower):
    """Pixels (n, 224, 224, 3) uint8, as decoded, to unit vectors (n, 512).

    The patch convolution, whose stride is its width, is the matrix product that it amounts to.

    Args:
        network: a CLIP model.
        mean, std: per channel, of pixels scaled to 0..1 (the checkpoint's image processor).
    """

    scale: Tensor
    offset: Tensor
    patch_weight: Tensor

    def __init__(self, network: CLIPModel, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.config = network.config.vision_config
        self.vision = network.vision_model
        self.projection = network.visual_projection
        self.size = self.config.patch_size
        self.grid = self.config.image_size // self.size
        kernel = self.vision.embeddings.patch_embedding.weight.detach()
        flat = kernel.permute(2, 3, 1, 0).reshape(-1, kernel.shape[0])
        pixels = self.size * self.size
        self.register_buffer("patch_weight", flat.contiguous())
        self.register_buffer("scale", (1 / (255 * torch.tensor(std))).repeat(pixels))
        self.register_buffer("offset", (-torch.tensor(mean) / torch.tensor(std)).repeat(pixels))

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.vision.pre_layrnorm(self._embed(pixels))
        *blocks, last = _blocks(self.vision.encoder)
        for block in blocks:
            hidden = block(hidden, None, None)[0]
        # Only the class token is pooled, so the last block computes no other token's output.
        normalised = last.layer_norm1(hidden)
        pooled = _last_block(last, hidden[:, :1], normalised[:, :1], normalised, None)
        projected = self.projection(self.vision.post_layernorm(pooled))
        return _unit(projected[:, 0])

    def _embed(self, pixels: Tensor) -> Tensor:
        grid, size = self.grid, self.size
        if not self.fusable:  # TensorRT takes uint8 only where it becomes another type at once
            pixels = pixels.to(self.patch_weight.dtype)
        patches = pixels.reshape(-1, grid, size, grid, size, 3).permute(0, 1, 3, 2, 4, 5)
        flat = patches.reshape(-1, grid * grid, size * size * 3).to(self.patch_weight.dtype)
        embedded = (flat * self.scale + self.offset) @ self.patch_weight
        embeddings = self.vision.embeddings
        first = embeddings.class_embedding.expand(embedded.shape[0], 1, -1)
        return torch.cat([first, embedded], dim=1) + embeddings.position_embedding.weight


class ClipTextTower(Tower):
    """Token ids (n, tokens) int64, tokens <= 77, to unit vectors (n, 512).

    There is no attention mask: attention is causal and the vector is pooled at the end-of-text
    token, so tokens behind it cannot change the result.

    Where it is to be fused, all blocks but the last are traced without their causal mask: ONNX
    Runtime's fusion does not recognise a mask, and its Attention operator makes its own
    (`graphs.fuse_graph` tells it to).
    """

    causal_mask: Tensor

    def __init__(self, network: CLIPModel) -> None:
        super().__init__()
        self.config = network.config.text_config
        self.text = network.text_model
        self.projection = network.text_projection
        length = self.config.max_position_embeddings
        mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)
        self.register_buffer("causal_mask", mask)

    def forward(self, input_ids: Tensor) -> Tensor:
        hidden = self.text.embeddings(input_ids=input_ids)
        tokens = input_ids.shape[1]
        mask = None if self.fusable else self.causal_mask[None, None, :tokens, :tokens]
        *blocks, last = _blocks(self.text.encoder)
        for block in blocks:
            hidden = block(hidden, None, mask)[0]
        # The end-of-text token has the highest id of the vocabulary.
        end = input_ids.argmax(dim=-1)
        normalised = last.layer_norm1(hidden)
        at_end = end[:, None, None].expand(-1, 1, hidden.shape[-1])
        pooled = _last_block(
            last,
            hidden.gather(1, at_end),
            normalised.gather(1, at_end),
            normalised,
            self.causal_mask[end][:, None, None, :tokens],
        )
        projected = self.projection(self.text.final_layer_norm(pooled))
        return _unit(projected[:, 0])


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (n, dimension) at unit length."""
    return vectors / vectors.norm(dim=-1, keepdim=True)


def _blocks(encoder: CLIPEncoder) -> list[CLIPEncoderLayer]:
    return [block for block in encoder.layers if isinstance(block, CLIPEncoderLayer)]


def _last_block(
    block: CLIPEncoderLayer,
    residual: Tensor,
    query: Tensor,
    tokens: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """A transformer block's output for one token, with keys and values of all.

    Args:
        block: the block.
        residual: (n, 1, width), the pooled token.
        query: (n, 1, width), the pooled token after the block's first LayerNorm.
        tokens: (n, tokens, width), all tokens after the block's first LayerNorm.
        mask: (n, 1, 1, tokens), added to the attention scores.
    """
    attention = block.self_attn

    def heads(flat: Tensor) -> Tensor:
        # A reshape whose sizes are known: ONNX Runtime's shape inference stops at any other.
        split = flat.reshape(-1, flat.shape[1], attention.num_heads, attention.head_dim)
        return split.transpose(1, 2)

    scores = heads(attention.q_proj(query) * attention.scale) @ heads(
        attention.k_proj(tokens)
    ).transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    context = scores.softmax(-1) @ heads(attention.v_proj(tokens))
    hidden: Tensor = residual + attention.out_proj(
        context.transpose(1, 2).reshape(-1, 1, attention.embed_dim)
    )
    return hidden + block.mlp(block.layer_norm2(hidden))
