"""How much each suite measures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Counts of turns, and of inputs in each."""

    latency_turns: int
    instruction_calls: int
    image_calls: int
    throughput_turns: int
    instructions: int
    images: int
    starts: int
    neighbour_texts: int
    pairs: int
    requests: int
    recorded: int
    outage_seconds: float


FULL = Size(
    latency_turns=12,
    instruction_calls=40,
    image_calls=6,
    throughput_turns=10,
    instructions=2000,
    images=50,
    starts=7,
    neighbour_texts=5000,
    pairs=1500,
    requests=200,
    recorded=10_000,
    outage_seconds=10.0,
)
QUICK = Size(
    latency_turns=8,
    instruction_calls=10,
    image_calls=2,
    throughput_turns=8,
    instructions=120,
    images=4,
    starts=3,
    neighbour_texts=1000,
    pairs=300,
    requests=20,
    recorded=1000,
    outage_seconds=1.0,
)
