"""The server settings that one indexed search runs under."""

import logging
import math
from collections.abc import Sequence
from functools import cache

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.catalog import Extension, VectorIndex
from vla_embeddings.search.definition import DEFAULT_LISTS, MAX_LISTS

logger = logging.getLogger(__name__)

MAX_EF_SEARCH = 1000  # pgvector's limit

# With 100, twice as many walks through the graph fill their candidates from one dense cluster and
# miss a nearer one: docs/adr/0016-recall.md.
DEFAULT_EF_SEARCH = 200

# Ten times pgvector's default. An HNSW scan that ends here fills the list with what it had put
# aside, however far: recall@10 over 50,000 instructions, of which 0.1 % pass a filter, is 0.97 at
# 20,000 and 0.99 at 200,000. Its memory (`hnsw.scan_mem_multiplier`) still ends a scan.
MAX_SCAN_TUPLES = 200_000


def check_overrides(ef_search: int | None, probes: int | None) -> None:
    """InvalidInput where the caller's own settings are out of pgvector's range."""
    for name, value, most in (
        ("ef_search", ef_search, MAX_EF_SEARCH),
        ("probes", probes, MAX_LISTS),
    ):
        if value is not None and not (type(value) is int and 1 <= value <= most):
            raise InvalidInput(f"{name} must be a whole number from 1 to {most}; got {value!r}.")


def search_settings(
    indexes: Sequence[VectorIndex],
    extension: Extension,
    *,
    top_k: int,
    ef_search: int | None,
    probes: int | None,
) -> dict[str, str]:
    """Settings for a search that one of `indexes` may serve.

    `ef_search` is twice the rows asked for and at least `DEFAULT_EF_SEARCH`; `probes` is the
    square root of `lists`, as pgvector's README advises. Iterative scans (pgvector 0.8) go on
    until the list is full, which neither alone ensures where a filter drops rows. In relaxed
    order they find more; the rows are sorted once they are here.
    """
    settings: dict[str, str] = {}
    methods = {index.method for index in indexes}
    if "hnsw" in methods:
        chosen = ef_search or min(MAX_EF_SEARCH, max(DEFAULT_EF_SEARCH, 2 * top_k))
        settings["hnsw.ef_search"] = str(chosen)
    if "ivfflat" in methods:
        lists = max(
            i.options.get("lists", DEFAULT_LISTS) for i in indexes if i.method == "ivfflat"
        )
        settings["ivfflat.probes"] = str(probes or math.ceil(math.sqrt(lists)))
    if not extension.has_iterative_scan:
        _warn_of_old_pgvector(".".join(map(str, extension.version)))
        return settings
    settings |= {f"{method}.iterative_scan": "relaxed_order" for method in methods}
    if "hnsw" in methods:
        settings["hnsw.max_scan_tuples"] = str(MAX_SCAN_TUPLES)
    return settings


@cache
def _warn_of_old_pgvector(version: str) -> None:
    logger.warning(
        "pgvector %s has no iterative scan: searches that an index cannot fill are repeated "
        "without it. Upgrade to 0.8 for fast filtered search.",
        version,
    )
