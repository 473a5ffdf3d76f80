"""What the figures were measured on: machine, versions, inputs and weights."""

from collections.abc import Sequence

from benchmarks.machine import Machine
from benchmarks.report.grid import Grid
from benchmarks.results import Result

METHOD = (
    "Figures are medians; the range is that of the quartiles, for a ratio the median's 99 % "
    "confidence interval over the turns. All contenders of a table take turns on the same inputs "
    "with the same weights, as many threads as there are CPUs, and never two at once. Cosine is "
    "the lowest to our fp32 vectors. Untrained weights make no difference to speed."
)


def conditions(results: Sequence[Result]) -> Grid:
    """A section for each set of conditions, under the suites that ran in it."""
    suites: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for result in results:
        suites.setdefault(_conditions(result), []).append(result.suite)
    sections = {
        ", ".join(names): [list(pair) for pair in found] for found, names in suites.items()
    }
    return Grid("Measured on", ("", "suites above"), sections, words=2)


def machine_names(results: Sequence[Result]) -> str:
    """The processors, for a sentence."""
    return "; ".join(sorted({_name(each.machine) for each in results}))


def _name(machine: Machine) -> str:
    processors = f"{machine.cpu}, {machine.cpus} CPUs"
    return f"{machine.gpu} ({processors})" if machine.gpu else processors


def describe(machine: Machine) -> str:
    """A machine in one line."""
    gpu = f"{machine.gpu}; " if machine.gpu else ""
    return (
        f"{gpu}{machine.cpu}, {machine.cpus} of {machine.cpus_online} CPUs "
        f"({', '.join(machine.flags)}), load {machine.load:.1f} before the start, "
        f"{machine.system}, Python {machine.python}, {_packages(machine)}, "
        f"commit {machine.commit}."
    )


def _conditions(result: Result) -> tuple[tuple[str, str], ...]:
    machine = result.machine
    weights = [f"{model} {kind}" for model, kind in result.weights.items()]
    return (
        *([("GPU", machine.gpu)] if machine.gpu else []),
        ("CPU", machine.cpu),
        ("CPUs", f"{machine.cpus} usable of {machine.cpus_online}"),
        ("instruction sets", ", ".join(machine.flags)),
        ("memory", f"{machine.memory_gb:.0f} GB"),
        ("system", machine.system),
        ("Python", machine.python),
        ("packages", _packages(machine)),
        ("commit", machine.commit),
        ("inputs", result.inputs),
        ("weights", ", ".join(weights)),
    )


def _packages(machine: Machine) -> str:
    return ", ".join(f"{name} {version}" for name, version in machine.packages.items())
