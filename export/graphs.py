"""PyTorch tower to ONNX graph: optimum's exporter, then ONNX Runtime's fusions."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnxruntime.transformers.optimizer import optimize_model
from optimum.exporters.onnx.config import OnnxConfig
from optimum.exporters.onnx.convert import export_pytorch
from optimum.utils import DummyInputGenerator, NormalizedConfig
from torch import Tensor

from vla_embeddings.errors import ExportError
from vla_embeddings.export.towers import Tower
from vla_embeddings.models import Kind, Model

OPSET = 17  # the first with LayerNormalization as one operator
OUTPUT = "embedding"


@dataclass(frozen=True, slots=True)
class Architecture:
    """What ONNX Runtime's optimizer must know of a tower, and what it must find there."""

    optimizer: str
    heads: int
    width: int
    fused_ops: Mapping[str, int]
    causal: bool = False


# A count below these means that a fusion silently did not match. CLIP's last block computes one
# token only, so 11 of its 12 attentions have the fused operator's form.
ARCHITECTURES: Mapping[Kind, Architecture] = {
    "text": Architecture(
        "bert", 12, 384, {"Attention": 6, "BiasGelu": 6, "SkipLayerNormalization": 12}
    ),
    "image": Architecture(
        "clip", 12, 768, {"Attention": 11, "QuickGelu": 12, "SkipLayerNormalization": 24}
    ),
    "clip-text": Architecture(
        "clip",
        8,
        512,
        {"Attention": 11, "QuickGelu": 12, "SkipLayerNormalization": 24},
        causal=True,
    ),
}


class _DummyInputs(DummyInputGenerator):
    """Inputs to trace with; their sizes become dynamic axes."""

    SUPPORTED_INPUT_NAMES = ("input_ids", "attention_mask", "pixels")

    def __init__(self, *_: object, **__: object) -> None:
        """Accept what optimum passes to every generator."""

    def generate(self, input_name: str, *_: object, **__: object) -> Tensor:
        if input_name == "pixels":
            return torch.zeros(2, 224, 224, 3, dtype=torch.uint8)
        return torch.ones(2, 16, dtype=torch.int64)


class _TowerConfig(OnnxConfig):
    """Names and dynamic axes of a tower's inputs and output, for optimum's exporter."""

    NORMALIZED_CONFIG_CLASS = NormalizedConfig
    DUMMY_INPUT_GENERATOR_CLASSES = (_DummyInputs,)
    AXES: Mapping[Kind, Mapping[str, dict[int, str]]] = {
        "text": {
            "input_ids": {0: "batch", 1: "tokens"},
            "attention_mask": {0: "batch", 1: "tokens"},
        },
        "image": {"pixels": {0: "batch"}},
        "clip-text": {"input_ids": {0: "batch", 1: "tokens"}},
    }

    def __init__(self, tower: Tower, kind: Kind) -> None:
        super().__init__(tower.config, task="feature-extraction")
        self._axes = dict(self.AXES[kind])

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        return self._axes

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        return {OUTPUT: {0: "batch"}}


def export_graph(tower: Tower, model: Model, path: Path, *, fusable: bool = True) -> None:
    """Write a tower as a plain ONNX graph in fp32.

    Args:
        tower: what to trace.
        model: its row.
        path: where to.
        fusable: for `fuse_graph`; else for `tensorrt.write_tensorrt_graph`.
    """
    tower.fusable = fusable
    with warnings.catch_warnings():
        # The tracer remarks on Python values in transformers' code; parity is proven instead.
        warnings.simplefilter("ignore")
        export_pytorch(tower, _TowerConfig(tower, model.kind), OPSET, path)


def fuse_graph(plain: Path, model: Model, path: Path) -> dict[str, int]:
    """Write the graph with ONNX Runtime's fused operators, and return the count of each.

    Raises:
        ExportError: another count than the architecture has; the graph would be right but slow.
    """
    architecture = ARCHITECTURES[model.kind]
    fused = optimize_model(
        str(plain),
        model_type=architecture.optimizer,
        num_heads=architecture.heads,
        hidden_size=architecture.width,
        opt_level=0,  # the pattern fusions alone; the session does the rest for its own CPU
    )
    counts = {name: n for name, n in fused.get_fused_operator_statistics().items() if n}
    wanted = architecture.fused_ops
    found = {name: counts.get(name, 0) for name in wanted}
    if found != wanted:
        raise ExportError(
            f"The fusions of {model.name} did not match: expected {dict(wanted)}, got {found}. "
            "Use the package versions of constraints.txt."
        )
    if architecture.causal:
        for node in fused.get_nodes_by_op_type("Attention"):
            node.attribute.append(onnx.helper.make_attribute("unidirectional", 1))
    fused.save_model_to_file(str(path))
    return counts
