"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vla_embeddings.runtime import available_cpus
from vla_embeddings.runtime.cpu import find_cpu
from vla_embeddings.runtime.gpu import Gpu

REPOSITORY = Path(__file__).parents[1]
PACKAGES = (
    *("onnxruntime", "onnxruntime-gpu", "numpy", "pillow", "tokenizers"),
    *("redis", "hiredis", "asyncpg", "pgvector"),
)
# What decides the speed of a matrix product on a CPU.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp")
# What a run writes itself, so that its later suites are of the same commit as its first.
WRITTEN = ("benchmarks/results", "docs/benchmarks", "README.md")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and what is installed on it."""

    cpu: str
    flags: list[str]
    """Those of its instruction sets that matter here."""
    cpus: int
    """Usable: the smaller of affinity and container quota."""
    cpus_online: int
    load: float
    """Runnable processes in the minute before the run: above 0.5 others were at work."""
    memory_gb: float
    system: str
    python: str
    packages: dict[str, str]
    commit: str
    """With "+" where files differ from it."""
    gpu: str = ""
    """Where the models ran on one: its name and driver."""


def describe_machine(*, load: float, gpu: Gpu | None = None) -> Machine:
    """This machine, with the load there was before the run; `gpu` is the one that is measured."""
    cpu = find_cpu()
    return Machine(
        cpu=cpu.name,
        flags=[flag for flag in FLAGS if flag in cpu.flags],
        cpus=available_cpus(),
        cpus_online=os.cpu_count() or 1,
        load=load,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=_installed(PACKAGES),
        commit=commit_of(REPOSITORY),
        gpu=gpu.label if gpu else "",
    )


def _installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of those that are."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def commit_of(folder: Path) -> str:
    """The commit checked out in a folder, with "+" where files differ from it; or "unknown"."""
    commit = _git(folder, "describe", "--always")
    changed = _git(
        folder, "status", "--porcelain", "--", ".", *map(":(exclude){}".format, WRITTEN)
    )
    return f"{commit}+" if commit and changed else commit or "unknown"


def _git(folder: Path, *arguments: str) -> str:
    """What it prints; nothing where there is no repository, or no git."""
    # Git would refuse one of another owner, whose code runs here anyway.
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
