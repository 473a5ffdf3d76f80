"""Disk, pyproject and links agree, so that nothing is missing from the wheel without a word."""

import tomllib
from pathlib import Path

import pytest

import vla_embeddings

ROOT = Path(__file__).parents[1]
PARTS = ("cache", "export", "models", "runtime", "search")


def test_every_package_on_disk_is_shipped() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    own = [init.parent for init in (ROOT / "vla_embeddings").glob("**/__init__.py")]
    on_disk = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in own} | {
        f"vla_embeddings.{part}" for part in PARTS
    }

    assert set(setuptools["packages"]) == on_disk


@pytest.mark.parametrize("part", PARTS)
def test_each_link_points_at_its_folder(part: str) -> None:
    link = ROOT / "vla_embeddings" / part

    assert link.is_symlink()
    assert link.readlink() == Path("..") / part


def test_every_public_name_can_be_imported() -> None:
    for name in vla_embeddings.__all__:
        assert getattr(vla_embeddings, name) is not None
    assert set(vla_embeddings.__all__) <= set(dir(vla_embeddings))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'EmbeddingServer'"):
        _ = vla_embeddings.EmbeddingServer
