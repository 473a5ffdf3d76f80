"""Which suites there are."""

from collections.abc import Callable, Mapping

from benchmarks import (
    backfill,
    concurrency,
    images,
    inference,
    latency,
    memory,
    quality,
    recorder,
    startup,
    throughput,
)
from benchmarks.bench import Bench
from benchmarks.cache import suite as cache
from benchmarks.micro import suite as micro
from benchmarks.results import Findings
from benchmarks.search import suite as search

Suite = Callable[[Bench], Findings]

SUITES: Mapping[str, Suite] = {
    "latency": latency.run,
    "throughput": throughput.run,
    "images": images.run,
    "concurrency": concurrency.run,
    "cache": cache.run,
    "search": search.run,
    "inference": inference.run,
    "recorder": recorder.run,
    "backfill": backfill.run,
    "startup": startup.run,
    "memory": memory.run,
    "quality": quality.run,
    "micro": micro.run,
}
"""By name, in the order they run; the first line of each one's docstring tells what it does."""

ENCODING = (
    "latency",
    "throughput",
    "images",
    "concurrency",
    "inference",
    "backfill",
    "startup",
    "memory",
    "quality",
)
"""Those whose figures depend on what runs the models: all that is asked of a GPU."""


def summary(suite: Suite) -> str:
    """What a suite does, in a line."""
    return (suite.__doc__ or "").partition("\n")[0].rstrip(".")
