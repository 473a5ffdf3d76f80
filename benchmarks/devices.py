"""What is measured on each device: our precisions there, and what runs them."""

from collections.abc import Mapping

from vla_embeddings.config import Device
from vla_embeddings.models import Precision

RUNS_ON: Mapping[Device, Mapping[Precision, Device]] = {
    "cpu": {"fp32": "cpu", "int8": "cpu"},
    "cuda": {"fp32": "cuda", "fp16": "cuda"},
    "tensorrt": {"fp32": "cuda", "fp16": "cuda", "fp16-tensorrt": "tensorrt"},
}
"""By the device of a run. fp32 comes first: the others are compared with it."""

USUAL: Mapping[Device, Precision] = {
    "cpu": "fp32",
    "cuda": "fp16",
    "tensorrt": "fp16-tensorrt",
}
"""What a service takes there unless it is told otherwise."""
