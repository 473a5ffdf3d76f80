"""Large files in pieces, for ways that carry small ones only. Needs Python alone."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

PART_BYTES = 48 << 20
CONTENTS = "contents.sha256"
"""Lists all files, as `sha256sum` does, by what they were before they were split."""


def split(folder: Path, part_bytes: int = PART_BYTES) -> None:
    """List every file below a folder, and replace each that is larger than a part by its parts."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / CONTENTS).write_text("".join(lines))
    for path in files:
        _split(path, part_bytes)


def _split(path: Path, part_bytes: int) -> None:
    if path.stat().st_size <= part_bytes:
        return
    with path.open("rb") as file:
        number = 0
        while piece := file.read(part_bytes):
            path.with_name(f"{path.name}.part{number:05}").write_bytes(piece)
            number += 1
    path.unlink()


def join(source: Path, destination: Path) -> None:
    """Put every file that was listed into another folder, in one piece.

    Raises:
        ValueError: one is missing or damaged; the message names it.
    """
    for digest, name in _listed(source):
        to = destination / name
        to.parent.mkdir(parents=True, exist_ok=True)
        _join(source / name, to)
        if _sha256(to) != digest:
            to.unlink()
            raise ValueError(
                f"{name} in {source}, or a part of it, is missing or damaged. Copy it again."
            )


def _listed(source: Path) -> Iterator[tuple[str, str]]:
    """Digest and name of each."""
    contents = source / CONTENTS
    if not contents.is_file():
        raise ValueError(
            f"{source} has no {CONTENTS}. Name the folder that benchmarks.gpu.pack made, and copy "
            "all of it."
        )
    for line in contents.read_text().splitlines():
        digest, _, name = line.partition("  ")
        yield digest, name


def _join(path: Path, to: Path) -> None:
    parts = sorted(path.parent.glob(f"{path.name}.part*"))
    with to.open("wb") as joined:
        for part in [path] if path.is_file() else parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
