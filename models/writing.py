"""What the file system refuses becomes an error that names the place, the user and the cure."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_embeddings.errors import EmbeddingError, NotWritable

# Other faults of the block are no fault of the folder.
_REFUSALS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EEXIST,
}

_LOCK = ".lock"
_STAGING = ".staging-"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what stops the block from writing into `folder` into an error of ours.

    Raises:
        NotWritable: no permission, no space, a read-only disk, a file where a folder should be.
    """
    try:
        yield
    except EmbeddingError:  # some are OSErrors, too
        raise
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise NotWritable(
            f"{folder} cannot be written by uid {os.geteuid()}: {error}. Make room or give write "
            "permission there, or name another folder with --output or EMBEDDING_MODELS_DIR."
        ) from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lets one process at a time write into `folder`, free of what a killed one has staged.

    Raises:
        NotWritable: as `writing`.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in folder.glob(f"{_STAGING}*"):
                shutil.rmtree(leftover)
            yield


@contextmanager
def stage_in(folder: Path) -> Iterator[Path]:
    """A new folder there, to be filled and then moved to where it belongs; else it is removed."""
    stage = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def require_writable(folder: Path) -> None:
    """Try whether files can be made in `folder`, or where it would be made; leave none.

    Raises:
        NotWritable: they cannot.
    """
    with writing(folder):
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        # Only a file shows: permission bits bind neither root nor a read-only disk.
        with tempfile.TemporaryFile(dir=nearest):
            pass
        if (lock := folder / _LOCK).exists():
            lock.open("a").close()  # it may be another user's
