"""The peers' virtual environments."""

import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.machine import REPOSITORY

ARTIFACTS = REPOSITORY / ".artifacts"
CONSTRAINTS = REPOSITORY / "constraints.txt"

Group = Literal["encoders", "stores"]


class PeerFailed(Exception):
    """A peer that cannot run; the message is its own."""


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """Where peers run."""

    python: Path
    failure: str | None
    """Why it could not be made."""

    def interpreter(self) -> Path:
        """Its Python.

        Raises:
            PeerFailed: there is none.
        """
        if self.failure is not None:
            raise PeerFailed(self.failure)
        return self.python


def this_environment() -> PeerEnvironment:
    """The one that this program runs in; peers that it lacks are named as absent."""
    return PeerEnvironment(Path(sys.executable), None)


def make_environment(group: Group) -> PeerEnvironment:
    """The virtual environment of a group of peers, made where it is missing or out of date."""
    requirements, constrained = requirements_of(group), group == "encoders"
    folder = ARTIFACTS / f"bench-{group}"
    python, marker = folder / "bin" / "python", folder / "installed.txt"
    constraints = CONSTRAINTS.read_text() if constrained else ""
    wanted = "\n".join([f"Python {sys.version}", *requirements, constraints])
    if marker.is_file() and marker.read_text() == wanted:
        return PeerEnvironment(python, None)
    try:
        venv.create(folder, clear=True, with_pip=True)
    except subprocess.CalledProcessError as error:  # a Python without ensurepip, as Debian has it
        return PeerEnvironment(python, f"cannot be installed: {error}")
    given = [*requirements, *(["-c", str(CONSTRAINTS)] if constrained else [])]
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(install + given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        return PeerEnvironment(python, f"cannot be installed: {lines[-1]}")
    marker.write_text(wanted)
    return PeerEnvironment(python, None)


def requirements_of(group: Group) -> list[str]:
    """Those of the extra `bench-peers`, or of the stores, which no extra can hold (ADR 11)."""
    if group == "stores":
        lines = (Path(__file__).parent / "stores.txt").read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extra: list[str] = project["optional-dependencies"]["bench-peers"]
    return extra
