"""Prometheus metrics, registered in the client's default registry when first imported.

A platform with a registry of its own passes it to `register` once; the same collectors then
report to both.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds. A cached text vector takes tens of microseconds, a cold image on CPU about 0.1 s.
LATENCY_BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip

GENERATION_SECONDS = Histogram(
    "embedding_generation_seconds",
    "Time to compute embeddings, tokenising or decoding included; cache hits excluded.",
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

COLLECTORS = (
    GENERATION_SECONDS,
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_ERRORS,
    CACHE_BREAKER_STATE,
    SEARCH_SECONDS,
    SEARCH_RESULTS,
)


def register(registry: CollectorRegistry) -> None:
    """Let `registry` collect this library's metrics too."""
    for collector in COLLECTORS:
        registry.register(collector)
