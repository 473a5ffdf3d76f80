"""The platform document's table, with the figures of this library in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report.grid import Grid
from benchmarks.report.words import quantity
from benchmarks.results import Result, Row
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
    "CPU p50",
    "CPU p90",
    "document, CPU",
    "GPU p50",
    "GPU p90",
    "document, GPU",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One model in one precision, one call at a time."""

    model: Model
    row: Row

    @property
    def precision(self) -> str:
        """The exported graph's."""
        return self.row.subject.removeprefix(OURS)


def calls(results: Sequence[Result]) -> Iterator[Call]:
    """Ours of the suite `latency`, one instruction and one image at a time on the CPU."""
    for result in results:
        if result.suite == "latency":
            for row in result.findings.rows:
                if row.work in MODELS and row.subject.startswith(OURS):
                    yield Call(MODELS[row.work], row)


def document_table(results: Sequence[Result]) -> Grid | None:
    """A row for each model and precision that was measured; None where none was."""
    rows = [
        [
            call.model.name,
            str(call.model.dimension),
            call.precision,
            quantity(call.row.figure.median, "ms"),
            quantity(call.row.p90 or 0, "ms"),
            f"~{CPU_MS[call.model.kind]:g} ms",
            "not measured",
            "",
            f"~{GPU_MS[call.model.kind]:g} ms",
        ]
        for call in calls(results)
    ]
    return Grid("The document's table", COLUMNS, {"": rows}) if rows else None
