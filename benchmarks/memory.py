"""Whether memory stays where it is, however many calls there are."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

from benchmarks.bench import Bench
from benchmarks.machine import REPOSITORY
from benchmarks.results import Findings, Row, Series, Verdict
from benchmarks.size import SizeName
from benchmarks.spread import Spread
from benchmarks.targets import RESIDENT_GROWTH

CALLS: Mapping[SizeName, int] = {"tiny": 40, "quick": 100, "full": 2000, "long": 100_000}
SAMPLES = 20
SETTLED = 1 / SAMPLES
"""The share of the calls after which memory must not grow: the first 5,000 of 100,000. Of few
calls it is a larger one, since arenas grow until the longest texts and largest images came."""
SETTLED_OF_FEW = 0.3
FEW = 10_000


def run(bench: Bench) -> Findings:
    """Resident memory over many calls of all kinds, lengths and image sizes."""
    calls = CALLS[bench.size.name]
    advance = bench.track("memory", SAMPLES)
    points = []
    for point in _resident(bench, calls):
        points.append(point)
        advance(1)
    after = calls * (SETTLED if calls >= FEW else SETTLED_OF_FEW)
    levels = [megabytes for count, megabytes in points if count >= after]
    highest, base = max(levels), levels[0]
    growth = Spread(min(levels) / base, highest / base, highest / base)
    name, work = bench.usual_name, f"highest resident memory of {calls:,} calls"
    return Findings(
        [Row(work, name, Spread(min(levels), highest, highest), "MB", turns=[highest])],
        [
            Verdict(
                f"{work}, to that after {after:,.0f}",
                name,
                None,
                growth,
                "x",
                RESIDENT_GROWTH,
                at_most=True,
            )
        ],
        [],
        [Series("memory-calls", name, "calls", "MB", points)],
        inputs="generated instructions and drawn scenes",
    )


def _resident(bench: Bench, calls: int) -> Iterator[tuple[float, float]]:
    """Calls and megabytes, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory_process", str(calls), str(SAMPLES)]
    command.append(bench.device)
    environment = os.environ | {"EMBEDDING_MODELS_DIR": str(bench.config.models_dir)}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # a pipe
        for line in process.stdout:
            seen = json.loads(line)
            yield seen["calls"], seen["megabytes"]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
