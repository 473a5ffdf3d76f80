"""Results of every kind, as suites would leave them."""

from dataclasses import replace

from benchmarks.machine import Machine
from benchmarks.results import Absence, Findings, Result, Role, Row, Series, Unit, Verdict
from benchmarks.spread import Spread
from benchmarks.targets import INSTRUCTIONS, ONE_IMAGE, ONE_INSTRUCTION

MACHINE = Machine(
    cpu="Example CPU",
    flags=["avx2"],
    cpus=2,
    cpus_online=4,
    load=0.1,
    memory_gb=16.0,
    system="Linux 6.1",
    python="3.11.7",
    packages={"onnxruntime": "1.31.1"},
    commit="abc1234",
)
HOSTILE = "<script>document.title='run'</script> & \"quoted\" " + 20 * "long"


def result(suite: str, findings: Findings) -> Result:
    """A full run of a suite."""
    return Result(
        suite=suite,
        size="full",
        finished="2026-01-31T12:30:00+00:00",
        seconds=61.2,
        inputs="real robot instructions",
        weights={"all-MiniLM-L6-v2": "trained", "clip-vit-base-patch32": "untrained"},
        machine=MACHINE,
        findings=findings,
    )


def row(work: str, subject: str, milliseconds: float, document: float | None = None) -> Row:
    """Some milliseconds, give or take a tenth."""
    spread = Spread(0.9 * milliseconds, milliseconds, 1.1 * milliseconds)
    model = "clip-vit-base-patch32" if work == ONE_IMAGE else "all-MiniLM-L6-v2"
    return Row(
        work, subject, spread, "ms", 1.3 * milliseconds, document, 1.0, compared=16, model=model
    )


def rate(
    subject: str, vectors: float, share: float | None = None, role: Role | None = None
) -> Row:
    """Some vectors a second, and which share of the sgemm peak that is."""
    spread = Spread(0.9 * vectors, vectors, 1.1 * vectors)
    limit = None if share is None else "sgemm peak"
    return Row(INSTRUCTIONS, subject, spread, "/s", share=share, limit=limit, role=role)


def exactly(work: str, subject: str, figure: float, unit: Unit) -> Row:
    """A figure without a range."""
    return Row(work, subject, Spread(figure, figure, figure), unit)


def times(subject: str, against: str, ratio: float, bound: float) -> Verdict:
    """So many times as fast, and how many it is to be."""
    spread = Spread(0.9 * ratio, ratio, 1.1 * ratio)
    return Verdict(INSTRUCTIONS, subject, against, spread, "x", bound, at_most=False)


def line(chart: str, subject: str, factor: float, points: int = 6) -> Series:
    """Something that doubles with what doubles."""
    doubled = [(float(2**n), factor * 2**n) for n in range(points)]
    return Series(chart, subject, "tokens", "milliseconds", doubled)


LATENCY = Findings(
    [
        row(ONE_INSTRUCTION, "ours fp32", 3.1, 15),
        replace(
            row(ONE_INSTRUCTION, "ours int8", 1.9, 15),
            quality=0.99262,
            compared=5000,
            neighbours=0.9557,
        ),
        row(ONE_INSTRUCTION, "a-library-of-a-long-name 12.34.56 (with its own graph)", 12, 15),
        row(ONE_IMAGE, "ours fp32", 62, 50),
        row(ONE_IMAGE, "transformers", 138, 50),
    ],
    [],
    [
        Absence(
            "slow-clip (image)", "cannot be installed: no wheel for this Python, and no network"
        )
    ],
    [
        *[line("latency-tokens", f"contender {n}", 1 + n / 5) for n in range(8)],
        line("latency-tokens", "ours fp32", 1),
    ],
)
THROUGHPUT = Findings(
    [
        rate("ours fp32", 1054, 0.74),
        rate("fastembed", 251),
        rate("sgemm peak", 1300),
        rate("int8 GEMM peak", 13_153, role="limit"),
    ],
    [
        times("ours fp32", "fastembed", 4.2, 3.3),
        times("ours fp32", "sgemm peak", 0.74, 0.8),
    ],
    [],
)
IMAGES = Findings(
    [
        exactly("cost of a 640x480 JPEG", "ours fp32, decode", 3.0, "ms"),
        exactly("cost of a 640x480 JPEG", "ours fp32, in all", 66.0, "ms"),
        exactly("cost of a 640x480 JPEG", "ours int8, decode", 3.1, "ms"),
        exactly("cost of a 640x480 JPEG", "ours int8, in all", 20.0, "ms"),
    ],
    [],
    [],
    [
        Series("image-cost", part, "megapixels", "ms", [(0.3072, cost), (2.0736, 3 * cost)])
        for part, cost in (("decode", 3.0), ("resize", 2.0), ("graph", 60.0), ("Python", 0.0))
    ],
)
INFERENCE = Findings(
    [
        exactly("one inference", "embeddings off", 104.0, "ms"),
        exactly("one inference", "ours, on", 117.0, "ms"),
        exactly("one inference", "share with both vectors in time", 0.02, ""),
        exactly("one inference", "added at p50", 14.6, "ms"),
    ],
    [],
    [],
)
SEARCH = Findings(
    [],
    [],
    [],
    [
        Series(
            "recall-ef-search", "ours", "milliseconds", "recall@10", [(0.6, 0.88), (1.1, 0.97)]
        ),
        Series("recall-ef-search", "other", "milliseconds", "recall@10", [(1.3, 0.9)]),
    ],
)
UNKNOWN = Findings(
    [Row(HOSTILE, HOSTILE, Spread(1, 1, 1), "")],
    [Verdict(HOSTILE, "ours", None, Spread(1, 2, 3), "ms", 1, at_most=True)],
    [Absence(HOSTILE, HOSTILE)],
    [
        Series(
            "never-seen-before", HOSTILE, HOSTILE, HOSTILE, [(1, 5), (2, 5.1), (3, float("nan"))]
        )
    ],
)

RESULTS = [
    result("a suite of tomorrow", UNKNOWN),
    result("images", IMAGES),
    result("inference", INFERENCE),
    result("latency", LATENCY),
    result("search", SEARCH),
    result("throughput", THROUGHPUT),
]
"""In the order of their files' names."""
