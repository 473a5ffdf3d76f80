"""Settings: read from EMBEDDING_* variables, checked, and named as a person set them."""

import re
from pathlib import Path

import pytest

from vla_embeddings.config import EmbeddingConfig, warn_of_misspelt
from vla_embeddings.errors import ConfigurationError

# As the user's document lists them.
DOCUMENTED = {
    "EMBEDDING_ENABLE_EMBEDDINGS": "true",
    "EMBEDDING_TEXT_MODEL_NAME": "sentence-transformers/all-MiniLM-L6-v2",
    "EMBEDDING_IMAGE_MODEL_NAME": "openai/clip-vit-base-patch32",
    "EMBEDDING_DEVICE": "auto",
    "EMBEDDING_REDIS_URL": "redis://localhost:6379",
    "EMBEDDING_CACHE_TTL": "300",
    "EMBEDDING_CACHE_MAX_CONNECTIONS": "10",
    "EMBEDDING_SIMILARITY_THRESHOLD": "0.7",
    "EMBEDDING_SIMILARITY_TOP_K": "10",
    "EMBEDDING_USE_HNSW_INDEX": "true",
    "EMBEDDING_HNSW_M": "16",
    "EMBEDDING_HNSW_EF_CONSTRUCTION": "64",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*DOCUMENTED, "EMBEDDING_MODELS_DIR", "EMBEDDING_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_documented_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = EmbeddingConfig()
    for name, value in DOCUMENTED.items():
        monkeypatch.setenv(name, value)

    assert EmbeddingConfig() == defaults


def test_variables_and_arguments_override_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDING_CACHE_TTL", "60")
    monkeypatch.setenv("EMBEDDING_SIMILARITY_TOP_K", "5")

    config = EmbeddingConfig(similarity_top_k=7)

    assert (config.cache_ttl, config.similarity_top_k) == (60, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMBEDDING_CACHE_TTL", "-1"),
        ("EMBEDDING_CACHE_TTL", "soon"),
        ("EMBEDDING_CACHE_TTL", "1000000000"),
        ("EMBEDDING_MODELS_DIR", ""),
        ("EMBEDDING_MODELS_DIR", "~nobody-of-that-name/models"),
        ("EMBEDDING_THREADS", "3000000000"),
        ("EMBEDDING_DEVICE", "tpu"),
        ("EMBEDDING_PRECISION", "fp8"),
        ("EMBEDDING_SIMILARITY_THRESHOLD", "1.5"),
        ("EMBEDDING_SIMILARITY_TOP_K", "0"),
        ("EMBEDDING_HNSW_M", "1"),
        ("EMBEDDING_CACHE_MAX_CONNECTIONS", "0"),
    ],
)
def test_an_unusable_variable_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"{name}='{re.escape(value)}'"):
        EmbeddingConfig()


def test_an_unusable_argument_is_named_as_an_argument() -> None:
    with pytest.raises(ConfigurationError, match="cache_ttl=-5"):
        EmbeddingConfig(cache_ttl=-5)


def test_an_unknown_argument_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigurationError, match=r"no setting redis_ulr; .*redis_url,") as raised:
        EmbeddingConfig(redis_ulr="redis://:s3cret@cache")
    assert "s3cret" not in str(raised.value)


def test_variables_of_others_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDING_OF_ANOTHER_PROGRAM", "7")

    assert EmbeddingConfig().cache_ttl == 300


def test_models_may_lie_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/robot")
    monkeypatch.setenv("EMBEDDING_MODELS_DIR", "~/models")

    assert EmbeddingConfig().models_dir == Path("/home/robot/models")


@pytest.mark.parametrize("name", ["openai/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"])
def test_a_models_name_is_kept_as_it_is(name: str) -> None:
    assert EmbeddingConfig(text_model_name=name).text_model_name == name


def test_a_folder_is_kept_as_it_is(tmp_path: Path) -> None:
    assert EmbeddingConfig(text_model_name=str(tmp_path)).text_model_name == str(tmp_path)


def test_passwords_are_never_shown() -> None:
    config = EmbeddingConfig(
        database_url="postgresql://robot:s3cret@db/vla", redis_url="redis://:s3cret@cache"
    )

    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigurationError) as raised:
        EmbeddingConfig(redis_url=["redis://:s3cret@cache"])
    assert "s3cret" not in str(raised.value)


def test_settings_cannot_be_changed_afterwards() -> None:
    config = EmbeddingConfig()

    with pytest.raises(ValueError, match="frozen"):
        setattr(config, "cache_ttl", 1)  # noqa: B010 - a type checker refuses the plain form


def test_models_lie_in_the_users_cache_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/robot")

    assert EmbeddingConfig().models_dir == Path("/var/cache/robot/vla-embeddings/models")


def test_where_there_is_no_home_a_folder_for_models_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-that-name")

    with pytest.raises(ConfigurationError, match=r"no home folder .*set EMBEDDING_MODELS_DIR"):
        EmbeddingConfig()
    assert EmbeddingConfig(models_dir="/var/models").models_dir == Path("/var/models")


def test_a_variable_that_is_misspelt_is_told_with_the_one_that_may_be_meant(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_of_misspelt(["EMBEDDING_DEVCE", "EMBEDDING_DEVICE", "EMBEDDING_API_KEY", "DEVCE", "PATH"])

    assert caplog.messages == [
        "EMBEDDING_DEVCE is no setting, and ignored. Is EMBEDDING_DEVICE meant?"
    ]
