"""The CPU is described as the kernel does."""

from pathlib import Path

import pytest

from vla_embeddings.runtime import cpu
from vla_embeddings.runtime.cpu import find_cpu

X86 = (
    "processor\t: 0\nmodel name\t: AMD EPYC 7543\nflags\t\t: fpu avx2 avx_vnni\n\nprocessor\t: 1\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimddp\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("text", "name", "flag"), [(X86, "AMD EPYC 7543", "avx_vnni"), (ARM, "aarch64", "asimddp")]
)
def test_name_and_instruction_sets_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str, flag: str
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    found = find_cpu()

    assert found.name == name
    assert flag in found.flags


def test_where_the_kernel_tells_nothing_the_architecture_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")

    found = find_cpu()

    assert found.name
    assert not found.flags
