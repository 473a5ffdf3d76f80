"""The single functions' figures as findings."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.machine import REPOSITORY
from benchmarks.results import Findings, Row
from benchmarks.size import SizeName
from benchmarks.spread import quartiles
from vla_embeddings.errors import MissingDependency

TURNS: Mapping[SizeName, int] = {"tiny": 1, "quick": 5, "full": 8, "long": 12}
"""Processes: where its threads and memory lie can make one slower than the next by a half, from
its first call to its last."""
SECONDS: Mapping[SizeName, float] = {"tiny": 0.001, "quick": 0.02, "full": 0.1, "long": 0.3}
"""Of each function in each process."""


def run(bench: Bench) -> Findings:
    """Single functions, timed alone: tokenising, preprocessing, keys, cache entries."""
    if find_spec("pytest_benchmark") is None:  # a GPU machine has only what was carried there
        raise MissingDependency(
            "Single functions are timed by pytest-benchmark, which is not installed: "
            "pip install 'vla-embeddings[dev]'"
        )
    turns = TURNS[bench.size.name]
    advance = bench.track("single functions", turns)
    medians: dict[str, list[float]] = {}
    for _ in range(turns):
        for test, milliseconds in _medians(bench).items():
            medians.setdefault(test, []).append(milliseconds)
        advance(1)
    rows = [_row(test, each) for test, each in medians.items()]
    return Findings(rows, [], [], inputs="generated instructions and a drawn scene")


def _medians(bench: Bench) -> dict[str, float]:
    """Milliseconds of each function in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [
            *(sys.executable, "-m", "pytest", str(Path(__file__).parent), "--quiet"),
            *("-p", "no:cacheprovider", "-p", "no:hypothesispytest"),  # slow to import
            *("--benchmark-json", str(file)),
            f"--benchmark-max-time={SECONDS[bench.size.name]}",
            "--benchmark-warmup=on",
            "--benchmark-warmup-iterations=5",
        ]
        # Without a word of the pytest that may run this, which would switch benchmarks off.
        known = {name: each for name, each in os.environ.items() if not name.startswith("PYTEST_")}
        environment = known | {"EMBEDDING_MODELS_DIR": str(bench.config.models_dir)}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"pytest-benchmark failed:\n{done.stdout}{done.stderr}")
        figures = json.loads(file.read_text())["benchmarks"]
    return {each["name"]: 1e3 * each["stats"]["median"] for each in figures}


def _row(test: str, milliseconds: list[float]) -> Row:
    work = test.removeprefix("test_").replace("_", " ")
    return Row(work, "ours", quartiles(milliseconds), "ms", turns=milliseconds)
