"""What a row's source column says -> what is embedded."""

from pathlib import Path

from vla_embeddings.errors import InvalidInput

MAX_FILE_BYTES = 64 * 2**20
"""Largest image file that is read: a 20-megapixel PNG, twice over."""


def checked_root(root: Path) -> Path:
    """`root` without links; InvalidInput where it is no folder."""
    if not root.is_dir():
        raise InvalidInput(f"The images' root {root} is no folder.")
    return root.resolve()


def read_below(root: Path, name: str) -> bytes:
    """The content of the file that `name` says, from `root` on.

    Args:
        root: as from `checked_root`.
        name: a path from there, or an absolute one that lies below it.

    Raises:
        InvalidInput: it leads outside `root` (by `..`, or by a link), or is no file that can be
            read, of at most `MAX_FILE_BYTES`.
    """
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise InvalidInput(f"{name!r} leads outside of {root}.")
        if not path.is_file():  # a pipe would keep its reader waiting
            raise InvalidInput(f"There is no file {name!r} below {root}.")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise InvalidInput(f"{name!r} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # the latter is a loop of links
        raise InvalidInput(f"{name!r} cannot be read: {error}") from error
