"""The GPU script runs on a CPU too; what is carried arrives whole or not at all."""

import json
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu import measure
from benchmarks.gpu.pack import WHEELS
from benchmarks.gpu.parts import join, split
from benchmarks.gpu.result import result
from benchmarks.gpu.run import REPOSITORY, install
from benchmarks.results import load_results
from benchmarks.targets import ONE_INSTRUCTION
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.models import MINILM
from vla_embeddings.runtime.gpu import Gpu


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


def test_every_dependency_of_the_library_is_carried_or_there_already() -> None:
    """torch, onnx and numpy are there."""
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["export"], *extras["weights"], *extras["gpu"]]
    names = {_name(requirement) for requirement in wanted}

    assert names - {_name(wheel) for wheel in WHEELS} == {"torch", "onnx", "numpy"}


def _name(requirement: str) -> str:
    for end in "[<>=":
        requirement = requirement.partition(end)[0]
    return requirement.strip().lower().replace("_", "-")


def test_a_dry_run_on_the_cpu_times_proves_and_places(models_dir: Path) -> None:
    row = measure.try_out(MINILM, "cpu", EmbeddingConfig(models_dir=models_dir), calls=2)

    assert row.fault == ""
    assert row.figures is not None
    assert 0 < row.figures.p50_ms <= row.figures.p90_ms
    assert row.figures.parity.min_cosine > 0.99999
    assert row.figures.operators["CPUExecutionProvider"]["Attention"] == 6
    assert row.verdict == ""


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_a_row_with_the_reason(
    models_dir: Path, device: Device
) -> None:
    row = measure.try_out(MINILM, device, EmbeddingConfig(models_dir=models_dir), calls=2)

    assert row.figures is None
    assert "pip install 'vla-embeddings[" in row.fault
    assert row.verdict == "FAIL"


def test_the_figures_name_the_machine(models_dir: Path) -> None:
    row = measure.try_out(MINILM, "cuda", EmbeddingConfig(models_dir=models_dir), calls=2)

    written = json.loads(json.dumps(measure.document([row])))

    assert {"name", "gpu", "cpu", "packages", "commit"} <= written["machine"].keys()
    assert written["machine"]["python"].startswith(f"{sys.version_info.major}.")
    assert written["rows"][0]["verdict"] == "FAIL"


def test_figures_of_a_gpu_are_a_result_that_the_report_reads(
    models_dir: Path, tmp_path: Path
) -> None:
    config = EmbeddingConfig(models_dir=models_dir)
    on_cpu = measure.try_out(MINILM, "cpu", config, calls=2)
    absent = measure.try_out(MINILM, "cuda", config, calls=2)
    fast = replace(on_cpu, device="cuda", document_ms=3, target_ms=1e6)  # as a GPU's would be
    gpu = Gpu("H100", "9.0", "580.1", (13, 0))

    result([fast, absent], gpu=gpu, calls=2, seconds=1).save(tmp_path)

    [read] = load_results(tmp_path)
    assert "H100" in read.inputs
    [row], [verdict] = read.findings.rows, read.findings.verdicts
    assert (row.work, row.subject) == (ONE_INSTRUCTION, "ours fp32, cuda")
    assert verdict.passed
    assert "pip install" in read.findings.absences[0].reason
