"""The GPU's figures as a suite's result, which the report and `bench compare` read."""

from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.gpu.measured import Measured
from benchmarks.machine import describe_machine
from benchmarks.results import Absence, Findings, Result, Row, Verdict
from benchmarks.spread import Spread
from benchmarks.targets import ONE_IMAGE, ONE_INSTRUCTION
from vla_embeddings.models import MINILM
from vla_embeddings.runtime.gpu import Gpu

SUITE = "gpu"


def result(rows: Sequence[Measured], *, gpu: Gpu, calls: int, seconds: float) -> Result:
    """Of single calls on a GPU; `seconds` is how long it took to measure them."""
    return Result(
        suite=SUITE,
        size=f"{calls} calls a model",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        inputs=f"generated instructions and a drawn scene, on {gpu.name}, driver {gpu.driver}",
        weights={row.model: row.figures.weights for row in rows if row.figures},
        machine=describe_machine(),
        findings=findings(rows),
    )


def findings(rows: Sequence[Measured]) -> Findings:
    """A row and a verdict for each model on each GPU provider, or why there is none."""
    found = Findings([], [], [])
    for row in rows:
        subject = f"ours {row.precision}, {row.device}"
        if row.figures is None:
            found.absences.append(Absence(f"{subject} ({row.model})", row.fault))
            continue
        work = ONE_INSTRUCTION if row.model == MINILM.name else ONE_IMAGE
        p50 = Spread(row.figures.p50_ms, row.figures.p50_ms, row.figures.p50_ms)
        found.rows.append(
            Row(
                work,
                subject,
                p50,
                "ms",
                p90=row.figures.p90_ms,
                document=row.document_ms,
                quality=row.figures.parity.min_cosine,
            )
        )
        if row.target_ms is not None:
            found.verdicts.append(
                Verdict(work, subject, None, p50, "ms", row.target_ms, at_most=True)
            )
    return found
