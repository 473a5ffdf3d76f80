"""How much each suite measures."""

from dataclasses import dataclass
from typing import Literal

SizeName = Literal["tiny", "quick", "full", "long"]


@dataclass(frozen=True, slots=True)
class Size:
    """Counts of turns, and of inputs in each, that several suites share.

    What one suite alone counts is in its own file, by the name.
    """

    name: SizeName
    latency_turns: int
    instruction_calls: int
    paced_calls: int
    """Of a turn of instructions at a robot's pace; 0 leaves them out."""
    image_calls: int
    curve_turns: int
    """0 draws none."""
    throughput_turns: int
    instructions: int
    images: int
    """JPEGs of a turn in bulk; 0 leaves them out, since a few would be like single ones."""
    starts: int
    neighbour_texts: int
    pairs: int
    requests: int
    recorded: int
    outage_seconds: float


TINY = Size(
    name="tiny",
    latency_turns=2,
    instruction_calls=2,
    paced_calls=1,
    image_calls=1,
    curve_turns=1,
    throughput_turns=2,
    instructions=8,
    images=2,
    starts=1,
    neighbour_texts=24,
    pairs=8,
    requests=2,
    recorded=50,
    outage_seconds=0.1,
)
"""Shows that a suite runs; its figures mean nothing."""

QUICK = Size(
    name="quick",
    latency_turns=5,
    instruction_calls=4,
    paced_calls=0,
    image_calls=1,
    curve_turns=0,
    throughput_turns=5,
    instructions=10,
    images=0,
    starts=5,
    neighbour_texts=300,
    pairs=100,
    requests=5,
    recorded=500,
    outage_seconds=0.5,
)
"""Two minutes, half of which the peers take to start. Five turns: fewer tell nothing (ADR 12)."""

FULL = Size(
    name="full",
    latency_turns=12,
    instruction_calls=20,
    paced_calls=5,
    image_calls=3,
    curve_turns=2,
    throughput_turns=10,
    instructions=200,
    images=16,
    starts=7,
    neighbour_texts=5000,
    pairs=1500,
    requests=50,
    recorded=10_000,
    outage_seconds=10.0,
)
"""Ten minutes."""

LONG = Size(
    name="long",
    latency_turns=20,
    instruction_calls=40,
    paced_calls=10,
    image_calls=6,
    curve_turns=6,
    throughput_turns=10,
    instructions=2000,
    images=50,
    starts=9,
    neighbour_texts=5000,
    pairs=1500,
    requests=500,
    recorded=10_000,
    outage_seconds=10.0,
)
"""The counts that the targets name: 20,000 instructions, 500 JPEGs, 100,000 calls. About an
hour."""
