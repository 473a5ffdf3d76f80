"""`python -m benchmarks`, as it is called."""

import json
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from typer.testing import CliRunner

from benchmarks import startup
from benchmarks.__main__ import app
from benchmarks.bench import Bench
from benchmarks.machine import REPOSITORY
from benchmarks.size import TINY
from vla_embeddings.config import EmbeddingConfig

KEPT = REPOSITORY / "benchmarks" / "results"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    """As small as can be, on the models that are there."""
    for module in ("benchmarks.__main__", "benchmarks.measuring"):
        monkeypatch.setattr(f"{module}.QUICK", TINY)
    monkeypatch.setattr("benchmarks.measuring.prepare", lambda *_: None)
    config = EmbeddingConfig(models_dir=models_dir)
    monkeypatch.setattr("benchmarks.measuring.embedding_config", config)


def test_a_quick_run_is_printed_and_written_where_it_is_asked_for_and_not_kept(
    tmp_path: Path,
) -> None:
    kept = {path: path.read_bytes() for path in KEPT.iterdir()}
    file = tmp_path / "new.json"

    done = CliRunner().invoke(
        app, ["--quick", "micro", "startup", "--peers-here", "--json", str(file)]
    )

    assert done.exit_code == 0, done.output
    assert "tokenize one instruction" in done.stdout
    written = json.loads(file.read_text())
    assert written.keys() == {"micro", "startup"}
    assert written["micro"]["inputs"] == "generated instructions and a drawn scene"
    assert {path: path.read_bytes() for path in KEPT.iterdir()} == kept


def test_a_suite_whose_packages_are_missing_is_named_and_the_others_are_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.micro.suite.find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["--quick", "startup", "micro", "--peers-here"])
    assert done.exit_code == 1, done.output
    assert "first vector in a new process" in done.stdout
    assert "timed by pytest-benchmark, which is not installed" in done.stdout


def test_models_are_not_exported_where_they_are_to_be_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmarks.measuring.embedding_config", EmbeddingConfig(models_dir=tmp_path)
    )
    done = CliRunner().invoke(app, ["--quick", "startup", "--models-here", "--peers-here"])
    assert done.exit_code == 1
    assert "Make it: vla-embeddings export --model text --precision fp32" in done.stderr
    assert not any(tmp_path.iterdir())


def test_settings_that_differ_from_the_defaults_are_refused(
    monkeypatch: pytest.MonkeyPatch, models_dir: Path
) -> None:
    """Ours would run on one thread beside peers that have them all."""
    config = EmbeddingConfig(models_dir=models_dir, threads=1, text_model_name="my/model")
    monkeypatch.setattr("benchmarks.measuring.embedding_config", config)
    done = CliRunner().invoke(app, ["--quick", "startup", "--peers-here"])
    assert done.exit_code == 1
    assert "env -u EMBEDDING_TEXT_MODEL_NAME -u EMBEDDING_THREADS" in done.stderr


def test_a_suite_that_is_not_there_is_named_beside_those_that_are() -> None:
    done = CliRunner().invoke(app, ["speed"])
    assert done.exit_code == 2
    assert "no suite 'speed'" in done.stderr
    assert "throughput" in done.stderr


def test_a_suite_that_breaks_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    suites, nowhere = ["cache", "micro"], "redis://127.0.0.1:1"
    done = CliRunner().invoke(
        app, ["--quick", *suites, "--peers-here", "--redis-url", nowhere, "--json", str(file)]
    )
    assert done.exit_code == 1
    assert "tokenize one instruction" in done.stdout
    written = json.loads(file.read_text())
    [absence] = written["cache"]["findings"]["absences"]
    assert absence["contender"] == "cache"
    assert absence["reason"].startswith("ConnectionError: ")
    assert written["micro"]["findings"]["rows"]


def test_a_process_that_makes_no_first_vector_is_told_by_its_status(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.startup.PROGRAM", "raise SystemExit(3)")
    with pytest.raises(CalledProcessError, match="status 3"):
        startup.run(bench)


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "new.json"
    done = CliRunner().invoke(app, ["--quick", "startup", "--peers-here", "--json", str(file)])
    assert done.exit_code == 2
    assert "written:" in done.stderr
