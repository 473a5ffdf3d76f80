"""What CPU there is, as the kernel describes it."""

import platform
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Cpu:
    """The first processor; the others are taken to be like it."""

    name: str
    """Such as "AMD EPYC 7543"; the architecture where the kernel tells no name."""
    flags: frozenset[str]
    """Its instruction sets, such as "avx2"; none where the kernel tells none."""


def find_cpu() -> Cpu:
    """The CPU that models run on."""
    try:
        first = _CPUINFO.read_text().partition("\n\n")[0]
    except OSError:
        first = ""
    pairs = (line.partition(":") for line in first.splitlines())
    details = {name.strip(): value.strip() for name, _, value in pairs}
    flags = details.get("flags", details.get("Features", ""))  # as ARM's kernel calls them
    return Cpu(details.get("model name", platform.machine()), frozenset(flags.split()))
