"""A new process: how soon its first vector is there, and what it weighs by then."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import Spread, quartiles
from benchmarks.targets import FIRST_VECTOR, FIRST_VECTOR_MB, FIRST_VECTOR_SECONDS

# VmRSS counts the pages of mapped files, too; its kB are 1,024 bytes (proc(5)).
PROGRAM = """
import asyncio, json, sys
from vla_embeddings import EmbeddingConfig, EmbeddingService

config = EmbeddingConfig(device=sys.argv[1], precision="auto")
service = EmbeddingService(config=config)
asyncio.run(service.get_instruction_embedding("pick up the red block"))
with open("/proc/self/status") as status:
    [kilobytes] = [line.split()[1] for line in status if line.startswith("VmRSS")]
print(json.dumps({"bytes": 1024 * int(kilobytes), "torch": "torch" in sys.modules}), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One process, from its creation to its first vector."""

    seconds: float
    megabytes: float
    """Resident."""
    torch: bool
    """Whether PyTorch was imported."""


def run(bench: Bench) -> Findings:
    """The first vector of a new process: seconds, memory, imports."""
    advance = bench.track(FIRST_VECTOR, bench.size.starts + 1)
    starts = []
    for _ in range(bench.size.starts + 1):
        starts.append(_start(bench))
        advance(1)
    starts = starts[1:]  # the first reads the files
    taken = [start.seconds for start in starts]
    resident = [start.megabytes for start in starts]
    seconds, megabytes = quartiles(taken), quartiles(resident)
    torch = quartiles([float(start.torch) for start in starts])
    work, name = FIRST_VECTOR, bench.usual_name
    return Findings(
        [
            Row(work, name, seconds, "s", turns=taken),
            Row(f"{work}, resident", name, megabytes, "MB", turns=resident),
        ],
        [
            *([] if bench.on_gpu else _on_a_cpu(work, name, seconds, megabytes)),
            Verdict("PyTorch imports by then", name, None, torch, "", 0, at_most=True),
        ],
        [],
        inputs="one instruction",
    )


def _on_a_cpu(work: str, name: str, seconds: Spread, megabytes: Spread) -> list[Verdict]:
    """The targets; CUDA alone would exceed them."""
    resident = f"{work}, resident"
    return [
        Verdict(work, name, None, seconds, "s", FIRST_VECTOR_SECONDS, at_most=True),
        Verdict(resident, name, None, megabytes, "MB", FIRST_VECTOR_MB, at_most=True),
    ]


def _start(bench: Bench) -> Start:
    environment = os.environ | {"EMBEDDING_MODELS_DIR": str(bench.config.models_dir)}
    command = [sys.executable, "-c", PROGRAM, bench.device]
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # a pipe
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:2])
    seen = json.loads(line)
    return Start(seconds, seen["bytes"] / 1e6, seen["torch"])
