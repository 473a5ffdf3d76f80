"""Redis is reached as the URL says, and its password stays inside."""

import logging
import ssl
import subprocess
from functools import partial
from pathlib import Path

import pytest
import redis

from tests.cache.servers import PatientCache, Server, fake, forward
from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.cache.address import Address
from vla_embeddings.errors import ConfigurationError

PASSWORD = "s3cret/+pass"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:6379",
        "localhost:6379",
        "",
        f"redis://:{PASSWORD}@localhost",
        f"redis://:p4ss@localhost:{PASSWORD}",
        "redis://:s3cret@localhost/zero",
        "redis+cluster://:s3cret@localhost/1",
        "redis+cluster://:s3cret@one:6379,",
        "redis+cluster://:s3cret@one:6379,two:port",
        "redis://:s3cret@localhost?no_such_option=1",
        "redis://:s3cret@localhost?db=one",
        "unix://",
    ],
)
def test_an_unusable_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="EMBEDDING_REDIS_URL") as caught:
        EmbeddingCache(url)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_repr_names_the_server_without_credentials() -> None:
    cache = EmbeddingCache("rediss://robot:s3cret@cache.example:6380/2", ttl=7)

    assert repr(cache) == "EmbeddingCache(rediss://cache.example:6380, ttl=7)"


def test_a_clusters_url_names_as_many_servers_as_it_likes() -> None:
    address = Address.from_url(
        "rediss+cluster://robot:s3,cret@one:7000,two,[::1]:7002/?ssl_cert_reqs=none"
    )

    assert address.cluster
    assert address.name == "rediss+cluster://one:7000,two:6379,::1:7002"
    for seed, place in zip(
        address.seeds(), [("one", 7000), ("two", 6379), ("::1", 7002)], strict=True
    ):
        assert (seed.options["host"], seed.options["port"]) == place
        assert seed.options["password"] == "s3,cret"
        assert seed.options["ssl_cert_reqs"] == "none"


async def test_user_password_and_database_of_the_url_are_used(server: Server) -> None:
    with server.client() as admin:
        admin.acl_setuser(
            "robot", enabled=True, passwords=[f"+{PASSWORD}"], keys="*", commands=["+@all"]
        )
    url = f"redis://robot:s3cret%2F%2Bpass@127.0.0.1:{server.port}/3"

    async with PatientCache(url, ttl=60) as cache:
        assert await cache.set_embedding("instruction:a", [1.0])

    with redis.Redis(port=server.port, db=3) as client:
        assert client.exists("embedding:instruction:a")


@pytest.mark.usefixtures("no_probe")
async def test_a_wrong_password_is_a_miss_and_is_never_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"redis://robot:s3cret@127.0.0.1:{server.port}"

    async with PatientCache(url, ttl=60, memory_entries=0) as cache:
        for _ in range(5):
            assert await cache.get_embedding("instruction:a") is None
        assert (await cache.get_stats())["breaker"] == "open"

    assert "AuthenticationError" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*request, *name, "-out", file, "-keyout", file.with_suffix(".key")],
        check=True,
        capture_output=True,
    )
    return file


async def test_rediss_uses_tls(redis_url: str, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    async with (
        fake(partial(forward, redis_url), tls=context) as place,
        PatientCache(f"rediss://{place}?ssl_ca_certs={certificate}") as cache,
    ):
        assert await cache.set_embedding("instruction:a", [1.0])
        assert (await cache.get_stats())["connected"]


async def test_a_certificate_that_is_not_trusted_is_a_miss(
    redis_url: str, certificate: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    async with (
        fake(partial(forward, redis_url), tls=context) as place,
        PatientCache(f"rediss://{place}", memory_entries=0) as cache,
    ):
        assert await cache.set_embedding("instruction:a", [1.0]) is False
        assert await cache.get_embedding("instruction:a") is None
