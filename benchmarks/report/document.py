"""The platform document's table, with the figures of this library in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report.grid import Grid
from benchmarks.report.weights import cosine
from benchmarks.report.words import kept, quantity
from benchmarks.results import Result, Row, quoted
from benchmarks.targets import ONE_IMAGE, ONE_INSTRUCTION
from vla_embeddings.latency import CPU_MS, GPU_MS
from vla_embeddings.models import CLIP_IMAGE, MINILM, Model

OURS = "ours "
MODELS: Mapping[str, Model] = {ONE_INSTRUCTION: MINILM, ONE_IMAGE: CLIP_IMAGE}
"""By the work that is timed."""

COLUMNS = (
    "model",
    "dimension",
    "precision",
    "cosine to fp32",
    "neighbours kept",
    "CPU p50",
    "CPU p90",
    "document, CPU",
    "GPU p50",
    "GPU p90",
    "document, GPU",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One model in one precision, one call at a time, on a CPU or a GPU."""

    model: Model
    row: Row
    document: float
    """Milliseconds in the platform's document."""
    cosine: str
    """The lowest to our fp32 vectors, marked where the weights are untrained."""

    @property
    def precision(self) -> str:
        """The exported graph's, and what else tells it from the model's other rows."""
        return self.row.subject.removeprefix(OURS)

    @property
    def on_gpu(self) -> bool:
        """Known by which of the document's figures it stands beside."""
        return self.document == GPU_MS[self.model.kind]

    @property
    def p50(self) -> str:
        """With its unit."""
        return quantity(self.row.figure.median, "ms")

    @property
    def p90(self) -> str:
        """Likewise; nothing where it was not kept."""
        return "" if self.row.p90 is None else quantity(self.row.p90, "ms")


def calls(results: Sequence[Result]) -> list[Call]:
    """Ours that stand beside the document's figures: first on the CPU, model by model."""
    found = [
        Call(MODELS[row.work], row, row.document, cosine(row, result))
        for result in quoted(results)
        for row in result.findings.rows
        if row.work in MODELS and row.subject.startswith(OURS) and row.document is not None
    ]
    places = list(MODELS.values())
    return sorted(found, key=lambda call: (call.on_gpu, places.index(call.model)))


def document_table(results: Sequence[Result]) -> Grid | None:
    """A row for each model and precision that was measured; None where none was."""
    found = calls(results)
    rows = [_cells(call, missing=_missing(call.model, found)) for call in found]
    return Grid("The document's table", COLUMNS, {"": rows}, wide=True) if rows else None


def _cells(call: Call, *, missing: str) -> list[str]:
    model, taken = call.model, (call.p50, call.p90)
    on_cpu, on_gpu = ((missing, ""), taken) if call.on_gpu else (taken, (missing, ""))
    return [
        model.name,
        str(model.dimension),
        call.precision,
        call.cosine.replace(" (", "\n("),  # on a line of its own, for eleven columns to fit
        kept(call.row),
        *on_cpu,
        f"~{CPU_MS[model.kind]:g} ms",
        *on_gpu,
        f"~{GPU_MS[model.kind]:g} ms",
    ]


def _missing(model: Model, found: Sequence[Call]) -> str:
    """What stands for the other device: nothing where another row has it."""
    devices = {call.on_gpu for call in found if call.model == model}
    return "" if len(devices) > 1 else "not measured"
