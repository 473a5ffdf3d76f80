"""What a result says of where it came from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.machine import REPOSITORY, commit_of


def _commit(folder: Path) -> str:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "All")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return commit_of(folder)


def test_a_run_that_writes_its_results_is_still_of_its_commit(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("1")
    commit = _commit(tmp_path)
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "latency.json").write_text("{}")
    (tmp_path / "README.md").write_text("new figures")
    assert len(commit) >= 7
    assert commit_of(tmp_path) == commit


def test_what_was_carried_into_the_clone_of_a_gpu_machine_is_no_change(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    commit = _commit(tmp_path)
    (tmp_path / "carried" / "wheels").mkdir(parents=True)
    (tmp_path / "carried" / "contents.sha256").write_text("")
    assert commit_of(tmp_path) == commit


def test_code_that_was_changed_or_added_since_the_commit_shows(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("1")
    commit = _commit(tmp_path)
    (tmp_path / "code.py").write_text("2")
    assert commit_of(tmp_path) == f"{commit}+"
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "more.py").write_text("")
    assert commit_of(tmp_path) == f"{commit}+"


def test_a_clone_that_belongs_to_another_user_has_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was copied to a GPU machine, or is looked at from inside a container."""
    (tmp_path / "code.py").write_text("1")
    commit = _commit(tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit_of(tmp_path) == commit


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == "unknown"


def test_without_git_the_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with a GPU need not have it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) == "unknown"
