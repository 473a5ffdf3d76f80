"""Where the extra `embedded` put its binaries."""

import importlib.util
from pathlib import Path

from vla_embeddings.errors import MissingDependency


def package_folder(name: str) -> Path:
    """The folder of an installed package, found without importing it.

    The packages' own Python code is never run: it creates system users, opens up private
    folders and leaves servers behind (docs/adr/0003-embedded-servers.md).
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(
            f"The embedded servers need the package {name}, which is not installed: "
            "pip install 'vla-embeddings[embedded]'. Or name your own servers in "
            "EMBEDDING_DATABASE_URL and EMBEDDING_REDIS_URL."
        )
    return Path(next(iter(spec.submodule_search_locations)))
