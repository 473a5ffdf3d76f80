"""A lane finds the right artefact, and loads nothing that was not asked for."""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.models.artifacts import copy_of, vouch_for
from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import (
    ArtifactDamaged,
    ModelNotFound,
    ProviderUnavailable,
    UntrainedModel,
)
from vla_embeddings.models import (
    CLIP_IMAGE,
    MINILM,
    Artifact,
    ArtifactStore,
    Model,
    Precision,
)
from vla_embeddings.runtime import (
    Lane,
    LaneSettings,
    ProviderChoice,
    TextEncoder,
    image_lane,
    text_lane,
)
from vla_embeddings.runtime import lane as lane_module
from vla_embeddings.runtime.providers import CPU
from vla_embeddings.runtime.selection import Selection
from vla_embeddings.samples import make_instructions

OpenLane = Callable[..., Lane[str]]


@pytest.fixture
def open_lane() -> Iterator[OpenLane]:
    """Makes lanes of MiniLM on the CPU, and closes them."""
    lanes: list[Lane[str]] = []

    def make(
        models_dir: Path, precision: PrecisionSetting = "auto", *, allow_untrained: bool = False
    ) -> Lane[str]:
        settings = LaneSettings(models_dir, "cpu", precision, allow_untrained)
        lanes.append(text_lane(MINILM, settings))
        return lanes[-1]

    yield make
    for lane in lanes:
        lane.close()


def _root(artifact: Artifact) -> Path:
    return artifact.folder.parents[1]


@pytest.fixture
def untrained(minilm_copy: Artifact) -> Path:
    """A store whose MiniLM calls itself untrained."""
    return _root(vouch_for(minilm_copy, replace(minilm_copy.manifest, weights="untrained")))


async def test_its_vectors_are_the_encoders(
    models_dir: Path, open_lane: OpenLane, text_encoder: TextEncoder
) -> None:
    texts = ["pick up the red block", "go"]

    vectors = await open_lane(models_dir).encode(texts)

    np.testing.assert_allclose(vectors, text_encoder.encode(texts), rtol=0, atol=1e-5)


async def test_untrained_weights_are_refused(untrained: Path, open_lane: OpenLane) -> None:
    lane = open_lane(untrained)

    with pytest.raises(UntrainedModel, match=r"mean nothing.*allow_untrained=True"):
        await lane.fingerprint()
    with pytest.raises(UntrainedModel):
        await lane.encode(["pick up the red block"])


async def test_untrained_weights_run_where_they_are_allowed(
    untrained: Path, open_lane: OpenLane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vla_embeddings")

    vectors = await open_lane(untrained, allow_untrained=True).encode(["go"])

    assert vectors.shape == (1, 384)
    assert "Loaded UNTRAINED all-MiniLM-L6-v2/fp32/" in caplog.text


async def test_a_missing_artefact_names_the_command(tmp_path: Path, open_lane: OpenLane) -> None:
    lane = open_lane(tmp_path)

    with pytest.raises(ModelNotFound, match="vla-embeddings export --model text --precision fp32"):
        await lane.fingerprint()
    with pytest.raises(ModelNotFound, match="vla-embeddings export --model text --precision fp32"):
        await lane.encode(["go"])


async def test_an_artefact_made_meanwhile_is_found(
    tmp_path: Path, minilm: Artifact, open_lane: OpenLane
) -> None:
    lane = open_lane(tmp_path)
    with pytest.raises(ModelNotFound):
        await lane.encode(["go"])

    copy_of(minilm, tmp_path)

    assert (await lane.encode(["go"])).shape == (1, 384)


async def test_a_damaged_artefact_that_was_made_anew_is_found(
    minilm_copy: Artifact, open_lane: OpenLane
) -> None:
    lane = open_lane(_root(minilm_copy))
    whole = minilm_copy.tokenizer.read_text()
    minilm_copy.tokenizer.write_text(whole[:-20])
    with pytest.raises(ArtifactDamaged, match="vla-embeddings export --model text"):
        await lane.encode(["go"])

    minilm_copy.tokenizer.write_text(whole + "\n")  # made by another version, so to speak
    vouch_for(minilm_copy)

    assert (await lane.encode(["go"])).shape == (1, 384)


async def test_an_artefact_that_changes_under_a_loaded_model_changes_nothing_of_the_lane(
    minilm_copy: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    """Bulk work goes on with the requests' session; one lane never serves two models."""
    lane = text_lane(MINILM, LaneSettings(_root(minilm_copy), "cpu", "auto", False, threads=2))
    before, alone = await lane.fingerprint(), await lane.encode(["go"])
    minilm_copy.tokenizer.write_text(minilm_copy.tokenizer.read_text() + "\n")
    vouch_for(minilm_copy)

    texts = ["go", *make_instructions(99)]
    in_bulk = [await lane.encode(texts) for _ in range(2)]

    assert caplog.text.count("Going on with what is loaded, whose files have changed") == 1
    for vectors in in_bulk:
        np.testing.assert_allclose(vectors[:1], alone, rtol=0, atol=1e-5)
    assert await lane.fingerprint() == before
    np.testing.assert_array_equal(await lane.encode(["go"]), alone)
    lane.close()


@pytest.mark.parametrize(("setting", "loaded"), [("auto", "fp32"), ("fp32", "fp32")])
async def test_a_cpu_takes_fp32(
    models_dir: Path, open_lane: OpenLane, setting: PrecisionSetting, loaded: str
) -> None:
    assert f"/{loaded}/" in await open_lane(models_dir, setting).fingerprint()


async def test_a_precision_asked_for_is_the_one_that_runs(
    models_dir: Path, open_lane: OpenLane
) -> None:
    half, full = open_lane(models_dir, "fp16"), open_lane(models_dir)

    difference = await half.encode(["go"]) - await full.encode(["go"])

    assert 1e-6 < np.abs(difference).max() < 0.01
    assert "/fp16/" in await half.fingerprint()


async def test_a_precision_that_was_not_exported_is_not_replaced(
    minilm_copy: Artifact, open_lane: OpenLane
) -> None:
    lane = open_lane(_root(minilm_copy), "int8")

    with pytest.raises(ModelNotFound, match=r"No int8 artefact.*--precision int8"):
        await lane.encode(["go"])


@pytest.mark.parametrize(("cpus", "loaded"), [(1, [1]), (2, [1, 2])])
async def test_bulk_work_on_a_cpu_runs_on_sessions_of_one_thread(
    models_dir: Path, text_encoder: TextEncoder, cpus: int, loaded: list[int]
) -> None:
    """Which is the requests' own where they have one thread as well."""
    threads: list[int] = []

    def load(artifact: Artifact, choice: ProviderChoice, of: int) -> TextEncoder:
        threads.append(of)
        return text_encoder

    settings = LaneSettings(models_dir, "cpu", "auto", False, threads=cpus)
    lane = Lane(MINILM, settings, load, batch=4)
    texts = make_instructions(12)

    in_bulk = await lane.encode(texts)
    assert threads == [1]
    parts = [await lane.encode(texts[start : start + 4], of=12) for start in (0, 4, 8)]
    assert threads == [1]
    few = await lane.encode(texts[:4])
    lane.close()

    assert sorted(threads) == loaded
    np.testing.assert_allclose(np.concatenate(parts), in_bulk, rtol=0, atol=1e-5)
    np.testing.assert_allclose(few, in_bulk[:4], rtol=0, atol=1e-5)


async def test_bulk_work_on_a_gpu_shares_the_requests_session(
    models_dir: Path, text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = ArtifactStore(models_dir).open(MINILM, "fp32")
    loads: list[str] = []

    def load(artifact: Artifact, choice: ProviderChoice, threads: int) -> TextEncoder:
        loads.append(threading.current_thread().name)
        return text_encoder

    monkeypatch.setattr(
        lane_module, "select", lambda *_: (artifact, ProviderChoice("cuda", (CPU,)))
    )
    lane = Lane(MINILM, LaneSettings(models_dir, "cuda", "auto", False), load, batch=4)
    texts = make_instructions(12)

    in_bulk = await lane.encode(texts)
    alone = await lane.encode(texts[:1])
    lane.close()

    assert loads == ["vla-embeddings-text"]
    np.testing.assert_allclose(alone, in_bulk[:1], rtol=0, atol=1e-5)


async def test_images_of_one_call_come_back_in_order(models_dir: Path) -> None:
    weights = ArtifactStore(models_dir).open(CLIP_IMAGE, "fp32").manifest.weights
    lane = image_lane(CLIP_IMAGE, LaneSettings(models_dir, "cpu", "auto", weights != "trained"))
    black, white = (np.full((224, 224, 3), value, np.uint8) for value in (0, 255))

    both = await lane.encode([black, white])
    alone = await lane.encode([white])
    lane.close()

    assert both.shape == (2, 512)
    np.testing.assert_allclose(both[1:], alone, rtol=0, atol=1e-5)
    assert np.abs(both[0] - both[1]).max() > 1e-3


async def test_auto_turns_from_tensorrt_to_cuda_to_the_cpu_and_says_why(
    models_dir: Path,
    text_encoder: TextEncoder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def choose(
        model: Model, store: ArtifactStore, device: Device, _: str, failed: Collection[Device]
    ) -> Selection:
        assert device == "auto"
        beyond: Device = "cpu" if "cuda" in failed else "cuda"
        best: Device = beyond if "tensorrt" in failed else "tensorrt"
        precision: Precision = "fp32" if best == "cpu" else "fp16"
        return store.open(model, precision), ProviderChoice(best, (CPU,))

    def load(artifact: Artifact, choice: ProviderChoice, threads: int) -> TextEncoder:
        if choice.device != "cpu":
            raise ProviderUnavailable(f"no {choice.device} today")
        return text_encoder

    monkeypatch.setattr(lane_module, "select", choose)
    lane = Lane(MINILM, LaneSettings(models_dir, "auto", "auto", False), load, batch=1)

    promised = await lane.fingerprint()
    assert lane.has(promised)

    assert (await lane.encode(["go"])).shape == (1, 384)

    assert not lane.has(promised)
    assert lane.has(await lane.fingerprint())
    assert "Using cuda instead: no tensorrt today" in caplog.text
    assert "Using cpu instead: no cuda today" in caplog.text
    assert lane.loaded is not None
    assert lane.loaded.device == "cpu"
    lane.close()
    assert lane.loaded is None


async def test_a_look_up_begun_before_a_device_failed_does_not_bring_it_back(
    models_dir: Path, text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or fp32 vectors of the CPU would have the GPU's fp16 fingerprint, in the cache as well."""
    looking, loaded = threading.Event(), threading.Event()

    def choose(
        model: Model, store: ArtifactStore, device: Device, _: str, failed: Collection[Device]
    ) -> Selection:
        works = "cuda" not in failed
        if not looking.is_set():
            looking.set()
            loaded.wait(0.5)  # as long as another look-up could overtake this one
        if works:
            return store.open(model, "fp16"), ProviderChoice("cuda", (CPU,))
        return store.open(model, "fp32"), ProviderChoice("cpu", (CPU,))

    def load(artifact: Artifact, choice: ProviderChoice, threads: int) -> TextEncoder:
        if choice.device != "cpu":
            raise ProviderUnavailable("no cuda today")
        loaded.set()
        return text_encoder

    monkeypatch.setattr(lane_module, "select", choose)
    lane = Lane(MINILM, LaneSettings(models_dir, "auto", "auto", False), load, batch=1)

    asked = asyncio.create_task(lane.fingerprint())
    assert await asyncio.to_thread(looking.wait, 10)
    await lane.encode(["go"])
    await asyncio.wait([asked])

    assert "/fp32/" in await lane.fingerprint()
    assert lane.has(await lane.fingerprint())
    lane.close()
