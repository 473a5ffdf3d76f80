"""What was measured of one model on one provider."""

from dataclasses import dataclass
from typing import Literal

from vla_embeddings.config import Device
from vla_embeddings.models import Parity, Precision
from vla_embeddings.runtime.placement import Placement


@dataclass(frozen=True, slots=True)
class Figures:
    """One model on one provider."""

    p50_ms: float
    p90_ms: float
    parity: Parity
    """Its vectors there against PyTorch's, over the inputs of its export."""
    operators: Placement
    weights: Literal["trained", "untrained"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was asked, what came, and what it is held to."""

    device: Device
    model: str
    precision: Precision
    document_ms: float
    target_ms: float | None
    """None on a CPU, whose targets are those of the suite `latency`."""
    figures: Figures | None
    fault: str
    """Why there are no figures; "" where there are."""

    @property
    def verdict(self) -> str:
        """`pass` or `FAIL` against the target; "" without one."""
        if self.figures is None:
            return "FAIL"
        if self.target_ms is None:
            return ""
        return "pass" if self.figures.p50_ms <= self.target_ms else "FAIL"
