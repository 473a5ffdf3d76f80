"""Images by path and by content."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.backfill.conftest import Names
from vla_embeddings import BatchEmbeddings, EmbeddingService, admission
from vla_embeddings.backfill import BackfillReport, backfill, sources
from vla_embeddings.backfill.sources import MAX_FILE_BYTES
from vla_embeddings.errors import InvalidInput
from vla_embeddings.runtime import ImageInput
from vla_embeddings.search import Database, euclidean_distance_search

NAMES = Names(
    table="context_metadata", source_column="image_path", embedding_column="image_embedding"
)


def _picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


async def _paths(db: Database, *paths: object) -> None:
    await db.pool.executemany(
        "INSERT INTO context_metadata (image_path) VALUES ($1)", [(str(path),) for path in paths]
    )


def _reasons(report: BackfillReport) -> dict[int, str]:
    return {row.id: row.reason for row in report.failed}


async def _is_nearest(db: Database, service: EmbeddingService, table: str, row: int) -> bool:
    vector = await service.get_image_embedding(_picture(row))
    [found] = await euclidean_distance_search(db, table, "image_embedding", vector, 1, 1e-3)
    return bool(found["id"] == row)


async def test_paths_below_the_root_are_read_and_embedded(
    db: Database, service: EmbeddingService, tmp_path: Path
) -> None:
    (tmp_path / "day 1").mkdir()
    (tmp_path / "day 1" / "a.png").write_bytes(_picture(1))
    (tmp_path / "b.png").write_bytes(_picture(2))
    await _paths(db, "day 1/a.png", tmp_path / "b.png", "day 1/../b.png")

    report = await backfill(db, service, **NAMES, kind="image", root=tmp_path)

    assert (report.embedded, report.failed) == (3, ())
    assert await _is_nearest(db, service, "context_metadata", 1)


async def test_content_is_embedded_as_it_is(db: Database, service: EmbeddingService) -> None:
    await db.pool.execute(
        "CREATE TABLE shots (id int PRIMARY KEY, png bytea, image_embedding vector(512))"
    )
    rows = [*((n, _picture(n)) for n in range(20)), (20, b"no picture"), (21, None)]
    await db.pool.executemany("INSERT INTO shots VALUES ($1, $2)", rows)

    report = await backfill(
        db,
        service,
        table="shots",
        source_column="png",
        embedding_column="image_embedding",
        kind="image",
    )

    assert report.embedded == 20
    reasons = _reasons(report)
    assert reasons.keys() == {20, 21}
    assert "Cannot read an image" in reasons[20]
    for row in (0, 17, 19):
        assert await _is_nearest(db, service, "shots", row)


async def test_images_of_a_block_may_hold_more_than_single_calls_may(
    db: Database, service: EmbeddingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a service that lets single images of 12 KiB wait, one picture and a half."""
    monkeypatch.setattr(admission, "MAX_IMAGE_BYTES", 12 * 1024)
    pictures = {number: _picture(number) for number in range(1, 17)}
    pictures[7] = pictures[7][:900]
    for number, content in pictures.items():
        (tmp_path / f"{number}.png").write_bytes(content)
    await _paths(db, *(f"{number}.png" for number in pictures))

    report = await backfill(db, service, **NAMES, kind="image", root=tmp_path)

    assert report.embedded == 15
    assert _reasons(report).keys() == {7}
    assert _reasons(report)[7].startswith("Cannot decode")
    for row in (1, 6, 8, 16):
        assert await _is_nearest(db, service, "context_metadata", row)


async def test_few_bytes_of_a_block_are_read_at_a_time(
    db: Database, service: EmbeddingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for a picture and a half, no more than two are held."""
    monkeypatch.setattr(sources, "BYTES_AT_ONCE", 12 * 1024)
    held: list[int] = []
    embed = service.batch_generate_embeddings

    async def watched(*, images: list[ImageInput], use_cache: bool) -> BatchEmbeddings:
        held.append(len(images))
        return await embed(images=images, use_cache=use_cache)

    monkeypatch.setattr(service, "batch_generate_embeddings", watched)
    for number in range(1, 6):
        (tmp_path / f"{number}.png").write_bytes(_picture(number))
    await _paths(db, "1.png", "gone.png", "2.png", "3.png", "4.png", "5.png")

    report = await backfill(db, service, **NAMES, kind="image", root=tmp_path)

    assert report.embedded == 5
    assert _reasons(report).keys() == {2}
    assert held == [2, 2, 1]
    assert await _is_nearest(db, service, "context_metadata", 1)


async def test_nothing_outside_the_root_is_read(
    db: Database, service: EmbeddingService, tmp_path: Path
) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(_picture(1))
    (tmp_path / "images-too").mkdir()
    (tmp_path / "images-too" / "x.png").write_bytes(_picture(2))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    await _paths(
        db,
        "../secret.png",
        tmp_path / "secret.png",
        "link.png",
        "up/secret.png",
        "../images-too/x.png",
        "/etc/passwd",
    )

    report = await backfill(db, service, **NAMES, kind="image", root=root)

    assert report.embedded == 0
    assert len(report.failed) == 6
    assert all("leads outside" in reason for reason in _reasons(report).values())


async def test_files_that_cannot_be_read_are_reported(
    db: Database, service: EmbeddingService, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "cut.png").write_bytes(_picture(1)[:900])
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    await _paths(db, "gone.png", "", "pipe", "loop", "cut.png", "huge.png", "x" * 5000)

    report = await backfill(db, service, **NAMES, kind="image", root=tmp_path)

    reasons = _reasons(report)
    assert report.embedded == 0
    assert reasons.keys() == set(range(1, 8))
    assert "no file 'gone.png'" in reasons[1]
    assert "Cannot decode" in reasons[5]
    assert "at most 67,108,864" in reasons[6]


async def test_paths_need_a_root_and_content_has_none(
    db: Database, service: EmbeddingService, tmp_path: Path
) -> None:
    for root in (None, tmp_path / "nowhere"):
        with pytest.raises(InvalidInput, match="root must be the folder"):
            await backfill(db, service, **NAMES, kind="image", root=root)
    await db.pool.execute("ALTER TABLE context_metadata ADD COLUMN content bytea")
    with pytest.raises(InvalidInput, match="root is for images by path"):
        await backfill(
            db,
            service,
            table="context_metadata",
            source_column="content",
            embedding_column="image_embedding",
            kind="image",
            root=tmp_path,
        )
