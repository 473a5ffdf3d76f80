"""`EmbeddingCache`: what the service and its users call."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_embeddings.cache.address import Address
from vla_embeddings.cache.connections import Connections
from vla_embeddings.cache.entry import Storage, as_vector, expiry_ms, pack, unpack
from vla_embeddings.cache.guard import Limits
from vla_embeddings.cache.keys import kind_of, wire_key
from vla_embeddings.cache.recent import RecentEntries
from vla_embeddings.cache.stats import CacheStats, for_people
from vla_embeddings.cache.tally import Tally
from vla_embeddings.config import MAX_CACHE_TTL, embedding_config
from vla_embeddings.errors import CacheUnavailable, ConfigurationError, InvalidInput

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]
T = TypeVar("T")

# Keys of one round trip: 1.5 MB of 384-d float32 vectors.
CHUNK = 1000


class EmbeddingCache:
    """Embeddings in Redis, behind a small memory of this process.

    A Redis that is down, slow, full or wrong makes look-ups miss and stores return False; only
    `clear_pattern` raises. Construction opens nothing and needs no event loop. One cache serves
    any number of event loops: each gets its own connections, which `close()` closes from within
    that loop, and all share the memory and the counts.

    Args:
        redis_url: `redis://`, `rediss://`, `unix://`, `redis+cluster://` or `rediss+cluster://`;
            a cluster's may name several servers, `host1:6379,host2:6379`, of which one must be
            there. EMBEDDING_REDIS_URL where None.
        ttl: seconds an embedding is kept, at most ten years; 0 stores nothing;
            EMBEDDING_CACHE_TTL where None.
        max_connections: to each server, from each event loop; further calls wait their turn, for
            at most 100 deadlines. EMBEDDING_CACHE_MAX_CONNECTIONS where None.
        deadline: seconds that one operation on Redis may take, waiting for a connection
            included and for a turn not; a batch gets 0.1 ms more per key.
        memory_entries: embeddings kept in this process; 0 for none.
        storage: "float16" halves Redis's memory; the cosine of a stored unit vector to the
            original stays above 0.9999999 (10,000 random vectors of 384 and of 512 dimensions).

    Raises:
        ConfigurationError: a setting that cannot be used.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        ttl: int | None = None,
        max_connections: int | None = None,
        *,
        deadline: float = 0.025,
        memory_entries: int = 1024,
        storage: Storage = "float32",
    ) -> None:
        config = embedding_config
        self._address = Address.from_url(config.redis_url if redis_url is None else redis_url)
        self._ttl = config.cache_ttl if ttl is None else ttl
        limits = Limits(
            deadline, config.cache_max_connections if max_connections is None else max_connections
        )
        self._storage: Storage = storage
        _check_settings(self._ttl, limits, memory_entries, storage)
        self._recent = RecentEntries(memory_entries)
        self._tally = Tally()
        self._connections = Connections(self._address, self._tally, limits)
        self._refusing = False

    async def get_embedding(self, key: str) -> Vector | None:
        """The embedding stored under `key`, or None.

        Returns:
            Shape (n,), float32, read-only: it may be shared; `.copy()` gives one to change.

        Raises:
            InvalidInput: an unusable key.
        """
        return (await self.get_many([key]))[key]

    async def set_embedding(self, key: str, embedding: ArrayLike, ttl: int | None = None) -> bool:
        """Store an embedding; whether Redis took it.

        Args:
            key: from `instruction_key` or `image_key`; `embedding:` is put before it where absent.
            embedding: shape (n,), finite; stored as float32 or float16 (see `storage`).
            ttl: seconds; the cache's own where None; 0 stores nothing.

        Raises:
            InvalidInput: an unusable key or embedding, or a `ttl` below 0 or above ten years.
        """
        return (await self.set_many({key: embedding}, ttl))[key]

    async def get_many(self, keys: Sequence[str]) -> dict[str, Vector | None]:
        """The embeddings of many keys, in one round trip per 1,000.

        Returns:
            One item per key, in the order given; see `get_embedding`.

        Raises:
            InvalidInput: an unusable key.
        """
        names = {key: wire_key(key) for key in keys}
        found = self._recent.get_many(names.values())
        unknown = [name for name in names.values() if name not in found]
        for chunk in _chunks(unknown):
            found.update(await self._fetch(chunk))
        self._note(unknown, found)
        return {key: found.get(name) for key, name in names.items()}

    async def set_many(
        self, embeddings: Mapping[str, ArrayLike], ttl: int | None = None
    ) -> dict[str, bool]:
        """Store many embeddings, in one round trip per 1,000; for each, whether Redis took it.

        Nothing is stored where one of them cannot be used. See `set_embedding`.
        """
        seconds = self._ttl if ttl is None else ttl
        if not 0 <= seconds <= MAX_CACHE_TTL:
            raise InvalidInput(f"ttl must be 0 to {MAX_CACHE_TTL} seconds; got {seconds}.")
        names = {key: wire_key(key) for key in embeddings}
        vectors: dict[bytes, Vector] = {}
        for some in _chunks(list(embeddings.items())):
            vectors |= {names[key]: as_vector(each, self._storage) for key, each in some}
            if len(vectors) < len(embeddings):
                await asyncio.sleep(0)  # very many must not stop the event loop
        if seconds == 0:
            return dict.fromkeys(names, False)
        self._recent.put_many((name, vector, seconds) for name, vector in vectors.items())
        taken: set[bytes] = set()
        for chunk in _chunks(list(vectors)):
            taken |= await self._send(chunk, vectors, seconds)
        return {key: name in taken for key, name in names.items()}

    async def clear_pattern(self, pattern: str) -> int:
        """Remove the embeddings whose keys match, such as "instruction:*"; how many there were.

        The pattern is Redis's glob below the prefix `embedding:`, so other keys are out of reach.
        This process forgets all it holds; others keep theirs until they expire.

        Raises:
            CacheUnavailable: Redis failed or refused, or too many calls wait for it; part of the
                keys may be gone.
        """
        self._recent.clear()
        return await self._connections.current().clear(wire_key(pattern))

    async def get_stats(self) -> CacheStats:
        """How full and how useful the cache is; answers with Redis down, too.

        Not for frequent calls: Redis counts no keys by prefix, so `total_keys` is found by a walk
        (SCAN) over all keys of the database, other applications' too, in one round trip per 1,000.
        `memory_used` walks nothing, and the metrics have hits, misses and errors.
        """
        total_keys = None
        memory = await self.memory_used()
        if memory is not None:
            try:
                servers = await self._connections.current().masters()
                total_keys = sum(
                    [len(page) for server in servers async for page in server.find(wire_key("*"))]
                )
            except CacheUnavailable:
                memory = None
        tally = self._tally
        return CacheStats(
            connected=total_keys is not None,
            total_keys=total_keys,
            memory_used=None if memory is None else for_people(memory),
            memory_used_bytes=memory,
            hits=tally.hits,
            misses=tally.misses,
            hit_rate=tally.hits / max(1, tally.hits + tally.misses),
            errors=tally.errors,
            breaker=self._connections.worst_state(),
        )

    async def memory_used(self) -> int | None:
        """Bytes that all data of Redis take, others' too; None where it does not answer."""
        try:
            servers = await self._connections.current().masters()
            return sum([await server.memory_used() for server in servers])
        except CacheUnavailable:
            return None

    async def close(self) -> None:
        """Close this event loop's connections; a later call opens new ones."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"EmbeddingCache({self._address.name}, ttl={self._ttl})"

    async def _fetch(self, names: Sequence[bytes]) -> dict[bytes, Vector]:
        """The entries that Redis has and that check out."""
        replies = await self._connections.current().read(names)
        found = unpack(names, replies)
        if len(found) < len(names):
            self._note_faults(
                reply for name, reply in zip(names, replies, strict=True) if name not in found
            )
        now_ms = time.time() * 1000
        self._recent.put_many(
            # Clocks differ between hosts; a wrong one must not keep an entry for longer.
            (name, found[name], min((expiry_ms(reply) - now_ms) / 1000, self._ttl))
            for name, reply in zip(names, replies, strict=True)
            if isinstance(reply, bytes) and name in found
        )
        return found

    async def _send(
        self, names: Sequence[bytes], vectors: Mapping[bytes, Vector], seconds: int
    ) -> set[bytes]:
        """Store the vectors of `names`; those that Redis took."""
        expires_ms = int((time.time() + seconds) * 1000)
        entries = [(name, pack(name, vectors[name], expires_ms, self._storage)) for name in names]
        replies = await self._connections.current().write(entries, int(seconds * 1000))
        self._note_refusals(replies)
        return {name for name, reply in zip(names, replies, strict=True) if reply == b"OK"}

    def _note(self, unknown: Sequence[bytes], found: Mapping[bytes, Vector]) -> None:
        self._tally.add_hits(found)
        self._tally.add_misses(name for name in unknown if name not in found)
        if logger.isEnabledFor(logging.DEBUG):
            for name in found:
                logger.debug("Cache hit for %s embedding: %s", kind_of(name), name.decode())

    def _note_faults(self, replies: Iterable[object]) -> None:
        """Count what was under our keys and is no entry."""
        for reply in replies:
            if isinstance(reply, Exception):
                self._tally.add_error(type(reply).__name__)
            elif reply is not None:
                self._tally.add_error("damaged")

    def _note_refusals(self, replies: Sequence[object]) -> None:
        """Count what a server that is well otherwise did not store; say so once."""
        reasons = [type(reply).__name__ for reply in replies if isinstance(reply, Exception)]
        for reason in reasons:
            self._tally.add_error(reason)
        if reasons and not self._refusing:
            self._refusing = True
            logger.warning(
                "%s does not store embeddings (%s)",
                self._address.name,
                reasons[0],
                extra={"server": self._address.name, "reason": reasons[0]},
            )
        elif self._refusing and not reasons and b"OK" in replies:
            self._refusing = False
            server = self._address.name
            logger.info("%s stores embeddings again", server, extra={"server": server})


def _check_settings(ttl: int, limits: Limits, memory_entries: int, storage: str) -> None:
    """Raises ConfigurationError where a setting cannot be used."""
    for setting, value, least in (
        ("ttl", ttl, 0),
        ("max_connections", limits.max_connections, 1),
        ("memory_entries", memory_entries, 0),
    ):
        if value < least:
            raise ConfigurationError(f"{setting} must be {least} or more; got {value}.")
    if ttl > MAX_CACHE_TTL:
        raise ConfigurationError(f"ttl must be at most {MAX_CACHE_TTL} seconds; got {ttl}.")
    if not limits.deadline > 0:
        raise ConfigurationError(f"deadline must be more than 0 seconds; got {limits.deadline}.")
    if storage not in get_args(Storage):
        raise ConfigurationError(f"storage must be float32 or float16; got {storage!r}.")


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
