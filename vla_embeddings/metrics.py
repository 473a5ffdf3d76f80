"""Prometheus metrics, registered in the client's default registry when first imported.

A platform with a registry of its own passes it to `register` once; the same collectors then
report to both.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds. A cached text vector takes tens of microseconds, a cold image on CPU about 0.1 s.
LATENCY_BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip

GENERATION_SECONDS = Histogram(
    "embedding_generation_seconds",
    "Time to compute one embedding (kinds instruction, image and image-query), or those of one "
    "batch (kinds that end with -batch), tokenising or decoding included; cache hits and failures "
    "excluded.",
    ["kind"],
    buckets=LATENCY_BUCKETS,
)
CACHE_HITS = Counter("embedding_cache_hits_total", "Embeddings served from the cache.", ["kind"])
CACHE_MISSES = Counter(
    "embedding_cache_misses_total", "Embeddings looked for in the cache and not found.", ["kind"]
)
CACHE_ERRORS = Counter(
    "embedding_cache_errors_total",
    "Cache operations that failed, and entries that did not check out; callers saw a miss.",
    ["reason"],
)
CACHE_BREAKER_STATE = Gauge(
    "embedding_cache_breaker_state",
    "0 closed: Redis is used; 1 half-open: it is being tried again; 2 open: it is bypassed.",
    ["server"],
)
SEARCH_SECONDS = Histogram(
    "similarity_search_seconds",
    "Time of one similarity search, connection included.",
    ["metric"],
    buckets=LATENCY_BUCKETS,
)
SEARCH_RESULTS = Histogram(
    "similarity_search_results",
    "Rows one similarity search returned.",
    ["metric"],
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000),
)

INFERENCE_OUTCOMES = Counter(
    "embedding_inference_outcomes_total",
    "Embeddings asked for beside an inference, by what became of them when the action was ready.",
    ["kind", "outcome"],
)
INFERENCE_ADDED_SECONDS = Histogram(
    "embedding_inference_added_seconds",
    "Time an inference waited for its embeddings after its action was ready.",
    buckets=LATENCY_BUCKETS,
)
STORAGE_QUEUE = Gauge(
    "embedding_storage_queue_depth", "Vectors accepted for storing and not yet written."
)
STORED = Counter("embedding_stored_total", "Vectors written beside inference.", ["kind"])
STORAGE_REFUSED = Counter(
    "embedding_storage_refused_total",
    "Vectors not stored because the customer's consent was not there.",
    ["reason"],
)
STORAGE_FAILED = Counter(
    "embedding_storage_failed_total",
    "Vectors that had consent and were not stored; each was logged with its analytics_id.",
    ["reason"],
)
BACKFILL_ROWS = Counter(
    "embedding_backfill_rows_total",
    "Rows a backfill was done with: embedded and written, or found impossible to embed.",
    ["kind", "outcome"],
)

COLLECTORS = (
    GENERATION_SECONDS,
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_ERRORS,
    CACHE_BREAKER_STATE,
    SEARCH_SECONDS,
    SEARCH_RESULTS,
    INFERENCE_OUTCOMES,
    INFERENCE_ADDED_SECONDS,
    STORAGE_QUEUE,
    STORED,
    STORAGE_REFUSED,
    STORAGE_FAILED,
    BACKFILL_ROWS,
)


@contextmanager
def generation(kind: str) -> Iterator[None]:
    """Observe how long the block takes to compute embeddings, unless it fails."""
    started = time.perf_counter()
    yield
    GENERATION_SECONDS.labels(kind).observe(time.perf_counter() - started)


def register(registry: CollectorRegistry) -> None:
    """Let `registry` collect this library's metrics too."""
    for collector in COLLECTORS:
        registry.register(collector)
