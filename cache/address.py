"""Where Redis is, from a URL; credentials are kept out of everything that is shown."""

import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from vla_embeddings.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Address:
    """One server, or one or some of a cluster's servers.

    `name` is for people; `options` are redis-py's for the first, and hold the credentials.
    `places` are the hosts and ports that a cluster's URL names.
    """

    name: str
    cluster: bool
    options: dict[str, Any] = field(repr=False)
    places: tuple[tuple[str, int], ...] = ()

    @classmethod
    def from_url(cls, url: str) -> "Address":
        """Read a URL of scheme redis, rediss, unix, redis+cluster or rediss+cluster.

        A cluster's may name several servers, with commas between. Credentials, database number
        and TLS options are redis-py's. What the cache decides itself (deadlines, retries,
        connections, decoding) is not taken from the URL.

        Raises:
            ConfigurationError: the URL cannot be used. The message does not repeat it, because
                it may hold a password.
        """
        scheme = url.partition("://")[0]
        try:
            servers = [_options(scheme, one) for one in _of_single_servers(scheme, url)]
        except (ValueError, TypeError):
            raise ConfigurationError(
                "The Redis URL (EMBEDDING_REDIS_URL, or redis_url=) cannot be used. Expected "
                "redis://user:password@host:6379/0 (rediss:// for TLS), unix:///path?db=0 or "
                "redis+cluster://host1:6379,host2:6379, with the password percent-encoded."
            ) from None
        if scheme == "unix":
            return cls(f"unix://{servers[0]['path']}", cluster=False, options=servers[0])
        places = tuple((server["host"], server["port"]) for server in servers)
        name = f"{scheme}://{','.join(f'{host}:{port}' for host, port in places)}"
        return cls(name, scheme.endswith("+cluster"), servers[0], places)

    def seeds(self) -> list["Address"]:
        """The addresses of the cluster's servers that the URL names."""
        return [self.at(host, port) for host, port in self.places]

    def at(self, host: str, port: int) -> "Address":
        """The address of another server of the same cluster; its host, where "" is given."""
        options = {**self.options, "host": host or self.options["host"], "port": port}
        scheme = self.name.partition("://")[0]
        return replace(self, name=f"{scheme}://{options['host']}:{port}", options=options)


# Nothing is retried: the caller has a way on without the cache. Deadlines are the cache's own,
# around the whole operation. RESP2 spares a new connection a round trip. 256 KiB is what asyncio
# takes from a socket at once; redis-py's 64 KiB makes an MGET of 1,000 vectors 10 % slower.
_OWN_OPTIONS: dict[str, Any] = {
    "retry": Retry(NoBackoff(), 0),
    "socket_timeout": None,
    "socket_connect_timeout": None,
    "health_check_interval": 0,
    "socket_read_size": 2**18,
    "decode_responses": False,
    "protocol": 2,
}


def _of_single_servers(scheme: str, url: str) -> list[str]:
    """A cluster's URL once for each server it names; any other as it is."""
    parts = re.fullmatch(r"([^:]+://(?:[^/?#]*@)?)([^/?#@]*,[^/?#@]*)(.*)", url, re.DOTALL)
    if parts is None or not scheme.endswith("+cluster"):
        return [url]
    before, places, after = parts.groups()
    if "" in places.split(","):
        raise ValueError("no host")
    return [f"{before}{place}{after}" for place in places.split(",")]


def _options(scheme: str, url: str) -> dict[str, Any]:
    """redis-py's options from a URL; ValueError or TypeError where it cannot be used."""
    plain = scheme.removesuffix("+cluster") + url.removeprefix(scheme)
    options: dict[str, Any] = {**parse_url(plain), **_OWN_OPTIONS}
    if scheme != "unix":
        options = {"host": "localhost", "port": 6379, **options}
        database = urlsplit(plain).path.strip("/")
        if database and not database.isdecimal():  # redis-py would use database 0
            raise ValueError("no database number")
    elif not options.get("path"):
        raise ValueError("no path")
    if scheme.endswith("+cluster") and options.get("db"):
        raise ValueError("a cluster has database 0 alone")
    # Refuses unknown options; opens nothing. redis-py has no annotation on make_connection.
    ConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]
    return options
