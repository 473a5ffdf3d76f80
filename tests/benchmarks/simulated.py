"""Runs of the benchmarks, made up: turns with noise on a machine with a mood of the day."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmarks.machine import Machine, describe_machine
from benchmarks.results import Findings, Result, Row
from benchmarks.spread import quartiles
from vla_embeddings.tracking import compare, read_run

PEERS = ("fastembed 0.9.1", "openvino 2026.4.1", "sentence-transformers 5.7.0", "sgemm peak")
TURNS = 10


@cache
def _this_machine() -> Machine:
    return describe_machine(load=0.0)


def result_of(rows: list[Row], suite: str = "latency") -> Result:
    return Result(
        suite=suite,
        size="quick",
        finished="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        inputs="made",
        weights={},
        machine=_this_machine(),
        findings=Findings(rows, [], []),
    )


def save(rows: list[Row], folder: Path) -> Path:
    result_of(rows).save(folder)
    return folder


def row_of(work: str, subject: str, turns: Sequence[float]) -> Row:
    return Row(work, subject, quartiles(turns), "ms", quality=1.0, turns=list(turns))


def simulated_run(seed: int, *, ours: float = 1.0, drift: float = 0.0) -> list[Row]:
    """Two works of ours and four peers: turns with noise, on a machine with a mood of the day."""
    generator = random.Random(seed)
    mood = 1 + drift + generator.gauss(0, 0.05)
    rows = []
    for work, base in (("one instruction", 3.0), ("one image", 50.0)):
        for subject, factor in (("ours fp32", ours), *[(peer, 2.0) for peer in PEERS]):
            day = 1 + generator.gauss(0, 0.02)  # what a process has by itself, from run to run
            turns = [
                base * factor * mood * day * (1 + abs(generator.gauss(0, 0.04)))
                for _ in range(TURNS)
            ]
            rows.append(row_of(work, subject, turns))
    return rows


def judgements(old: Path, new: Path) -> list[str]:
    return [each.judgement for each in compare(read_run(old), read_run(new)) if each.unit]


def threaded(seed: int, *, alone: bool, slower: float = 1.0) -> list[Row]:
    """A function on two threads, which takes twice as long, all through, beside other work."""
    generator = random.Random(seed)
    base = slower * (2.7 if alone else 5.2)
    turns = [base * (1 + abs(generator.gauss(0, 0.02))) for _ in range(5)]
    return [row_of("tokenize 256 instructions", "ours", turns)]


def several(folder: Path, *runs: tuple[list[Row], float]) -> Path:
    """Runs of the same code in one folder, with the share that others took of the processors."""
    folder.mkdir()
    for number, (rows, others) in enumerate(runs):
        result = replace(result_of(rows, "micro"), others=others)
        (folder / f"{number}.json").write_text(json.dumps({"micro": result.to_json()}))
    return folder
