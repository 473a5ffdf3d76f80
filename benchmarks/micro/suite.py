"""The single functions' figures as findings."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.machine import REPOSITORY
from benchmarks.results import Findings, Row
from benchmarks.size import SizeName
from benchmarks.spread import Spread

SECONDS: Mapping[SizeName, float] = {"tiny": 0.001, "quick": 0.1, "full": 0.7, "long": 3}
"""Of each function."""


def run(bench: Bench) -> Findings:
    """Single functions, timed alone: tokenising, preprocessing, keys, cache entries."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [
            *(sys.executable, "-m", "pytest", str(Path(__file__).parent), "--quiet"),
            *("-p", "no:cacheprovider", "--benchmark-json", str(file)),
            f"--benchmark-max-time={SECONDS[bench.size.name]}",
            "--benchmark-warmup=on",
            "--benchmark-warmup-iterations=5",
        ]
        environment = os.environ | {"EMBEDDING_MODELS_DIR": str(bench.config.models_dir)}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"pytest-benchmark failed:\n{done.stdout}{done.stderr}")
        figures = json.loads(file.read_text())["benchmarks"]
    return Findings([_row(each["name"], each["stats"]) for each in figures], [], [])


def _row(test: str, seconds: Mapping[str, float]) -> Row:
    low, median, high = (1e3 * seconds[name] for name in ("q1", "median", "q3"))
    work = test.removeprefix("test_").replace("_", " ")
    return Row(work, "ours", Spread(low, median, high), "ms", turns=[low, median, high])
