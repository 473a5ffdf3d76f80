"""Large files in pieces, for ways that carry small ones only. Needs Python alone."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

PART_BYTES = 48 << 20
_DIGEST = ".sha256"


def split(path: Path, part_bytes: int = PART_BYTES) -> None:
    """Replace a file that is larger than a part by its parts and its digest."""
    if path.stat().st_size <= part_bytes:
        return
    path.with_name(path.name + _DIGEST).write_text(_sha256(path))
    with path.open("rb") as file:
        number = 0
        while piece := file.read(part_bytes):
            path.with_name(f"{path.name}.part{number:03}").write_bytes(piece)
            number += 1
    path.unlink()


def join(source: Path, destination: Path) -> None:
    """Put every file of a folder into another one, with split ones in one piece.

    Raises:
        ValueError: a part is missing or damaged; the message names the file.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for path in _whole_files(source):
        shutil.copyfile(path, destination / path.name)
    for digest in sorted(source.glob(f"*{_DIGEST}")):
        name = digest.name.removesuffix(_DIGEST)
        joined = destination / name
        with joined.open("wb") as file:
            for part in sorted(source.glob(f"{name}.part*")):
                file.write(part.read_bytes())
        if _sha256(joined) != digest.read_text():
            joined.unlink()
            raise ValueError(f"{name}: a part in {source} is missing or damaged. Copy them again.")


def _whole_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix != _DIGEST and not path.suffix.startswith(".part"):
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
