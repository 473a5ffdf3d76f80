"""Large files in pieces, for ways that carry small ones only. Needs Python alone."""

import hashlib
import shutil
from pathlib import Path

PART_BYTES = 48 << 20
_DIGEST = ".sha256"


def split(folder: Path, part_bytes: int = PART_BYTES) -> None:
    """Replace every file below a folder that is larger than a part by its parts and its digest."""
    for path in _files(folder):
        _split(path, part_bytes)


def _split(path: Path, part_bytes: int) -> None:
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
    """Put every file below a folder into another one, with split ones in one piece.

    Raises:
        ValueError: a part is missing or damaged; the message names the file.
    """
    for path in _files(source):
        to = destination / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == _DIGEST:
            _join(path, to.with_suffix(""))
        elif not path.suffix.startswith(".part"):
            shutil.copyfile(path, to)


def _join(digest: Path, joined: Path) -> None:
    with joined.open("wb") as file:
        for part in sorted(digest.parent.glob(f"{joined.name}.part*")):
            file.write(part.read_bytes())
    if _sha256(joined) != digest.read_text():
        joined.unlink()
        raise ValueError(
            f"{joined.name}: a part in {digest.parent} is missing or damaged. Copy them again."
        )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
