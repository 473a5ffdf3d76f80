"""From sentence-transformers and transformers to this library, as docs/migration.md has it."""

import asyncio
import importlib
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.backfill.conftest import NAMES, Names, add_rows, stored
from tests.blocks import code_blocks, run_block
from tests.compare.conftest import store
from vla_embeddings import EmbeddingService
from vla_embeddings.compare import compare
from vla_embeddings.export.checkpoints import find_source, untrained_source
from vla_embeddings.export.references import load_reference
from vla_embeddings.models import CLIP_IMAGE, MINILM, ArtifactStore
from vla_embeddings.samples import make_instructions, make_scenes
from vla_embeddings.search import Database, batch_index_embeddings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

GUIDE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
IMAGES = Names(
    table="context_metadata", source_column="image_path", embedding_column="image_embedding"
)


@pytest.fixture(scope="module")
def sentence_transformer() -> "SentenceTransformer":
    """The old program's text model."""
    from sentence_transformers import SentenceTransformer  # seconds, in every process of tests

    model: SentenceTransformer = SentenceTransformer(str(find_source(MINILM).folder), device="cpu")
    return model


@pytest.fixture(scope="module")
def clip_features(models_dir: Path) -> list[tuple[Image.Image, NDArray[np.float32]]]:
    """Images, and what `CLIPModel.get_image_features` makes of them: not of length 1."""
    weights = ArtifactStore(models_dir).open(CLIP_IMAGE, "fp32").manifest.weights
    source = untrained_source() if weights == "untrained" else find_source(CLIP_IMAGE)
    images = [scene.image for scene in make_scenes(4)]
    raw = load_reference(CLIP_IMAGE, source).embed(images)
    return list(zip(images, raw.detach().numpy(), strict=True))


async def _instruct(db: Database, model: "SentenceTransformer", count: int) -> None:
    """Rows as the old program left them."""
    instructions = make_instructions(count)
    await add_rows(db, instructions)
    await store(db, np.asarray(model.encode(instructions)))


async def _photograph(
    db: Database, features: list[tuple[Image.Image, NDArray[np.float32]]], folder: Path
) -> None:
    """Images in `folder`, and rows as the old program left them."""
    for number, (image, _) in enumerate(features, 1):
        image.save(folder / f"{number}.png")
    await db.pool.executemany(
        "INSERT INTO context_metadata (id, image_path) VALUES ($1, $2)",
        [(number, f"{number}.png") for number in range(1, len(features) + 1)],
    )
    items = ({"id": number, "embedding": raw} for number, (_, raw) in enumerate(features, 1))
    await batch_index_embeddings(db, "context_metadata", "id", "image_embedding", items)


async def test_vectors_of_sentence_transformers_are_ours(
    db: Database, service: EmbeddingService, sentence_transformer: "SentenceTransformer"
) -> None:
    await _instruct(db, sentence_transformer, 100)

    found = await compare(db, service, **NAMES)

    assert found.passed
    assert len(found.rows) == 100
    assert found.rows[0].cosine > 0.99999
    assert (found.recorded, found.not_unit) == (None, 0)


async def test_features_of_transformers_clip_are_ours_and_the_guide_gives_them_our_length(
    db: Database, service: EmbeddingService, clip_features: Any, tmp_path: Path
) -> None:
    await _photograph(db, clip_features, tmp_path)

    raw = await compare(db, service, **IMAGES, kind="image", root=tmp_path)
    await db.pool.execute(_sql("l2_normalize"))
    unit = await compare(db, service, **IMAGES, kind="image", root=tmp_path)

    assert raw.passed
    assert (raw.not_unit, unit.not_unit) == (4, 0)
    assert min(raw.rows[0].cosine, unit.rows[0].cosine) > 0.99999


async def test_the_guides_commands_compare_adopt_and_go_on(
    db: Database,
    dsn: str,
    service: EmbeddingService,
    models_dir: Path,
    sentence_transformer: "SentenceTransformer",
    clip_features: Any,
    tmp_path: Path,
) -> None:
    """Where CLIP's weights are not at hand, the command on images says so; `export` and `verify`
    are the README's, and run with it."""
    await _instruct(db, sentence_transformer, 40)
    await add_rows(db, ["go home"])
    await _photograph(db, clip_features, tmp_path)
    script = re.sub(r"vla-embeddings (export|verify).*\n", "", "".join(code_blocks(GUIDE, "bash")))

    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script.replace("/data/images", str(tmp_path))),
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "EMBEDDING_DATABASE_URL": dsn,
            "EMBEDDING_MODELS_DIR": str(models_dir),
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    told, errors = (output.decode() for output in await process.communicate())

    trained = ArtifactStore(models_dir).open(CLIP_IMAGE, "fp32").manifest.weights == "trained"
    assert told.count("Passed: stored and fresh vectors agree.") == 2 + trained, errors
    assert ("untrained weights" in errors) is not trained
    assert "Embedded 1 of 1 rows" in told
    assert len(await stored(db)) == 41
    assert (await compare(db, service, **NAMES)).recorded == await service.fingerprint("text")
    await db.pool.execute(_sql("COMMENT"))
    assert (await compare(db, service, **NAMES)).recorded is None


async def test_the_guides_python_runs_as_written(
    db: Database,
    service: EmbeddingService,
    sentence_transformer: "SentenceTransformer",
    capsys: pytest.CaptureFixture[str],
) -> None:
    await _instruct(db, sentence_transformer, 5)
    names: dict[str, Any] = {"db": db, "service": service}

    for block in code_blocks(GUIDE, "python"):
        await run_block(block, names)

    assert capsys.readouterr().out.startswith("True {'min': ")


def test_every_old_import_has_a_new_one_of_the_same_names() -> None:
    rows = re.findall(r"^\| `(from src\..*?)` \| `(from .*?)` \|$", GUIDE, re.MULTILINE)

    assert len(rows) == 5
    for old, new in rows:
        module, names = new.removeprefix("from ").split(" import ")
        assert old.endswith(f"import {names}")
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name)


def _sql(word: str) -> str:
    """The guide's statement with this word."""
    [block] = [block for block in code_blocks(GUIDE, "sql") if word in block]
    return block
