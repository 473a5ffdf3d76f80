"""What the figures were measured on: machine, versions, inputs and weights."""

from collections.abc import Sequence

from benchmarks.machine import Machine
from benchmarks.report.grid import Grid
from benchmarks.report.weights import untrained_models
from benchmarks.results import Result

METHOD = (
    "Figures are medians unless their name says otherwise; recall is the mean of all queries. The "
    "range is from the first to the third quartile; for a ratio or a difference of two contenders "
    "it is the median's 99 % confidence interval over the turns, and for recall and memory over "
    "calls the lowest and the highest. A verdict whose interval holds its bound is within the "
    "noise: another run may decide otherwise. Where others stand beside ours, they take turns "
    "with it on the same inputs, never two at once; models have the same weights and as many "
    "threads as there are CPUs. Cosine is the lowest to our fp32 vectors, with the number of "
    "inputs it is of: all that are at hand for ours, a few for peers, whose weights are the same; "
    "neighbours kept is the share of each instruction's ten nearest that are its nearest in fp32, "
    "too."
)
CARRIED_OVER = "its cosines are those of seeded weights, which do not carry over to trained ones"


def method(results: Sequence[Result]) -> str:
    """How the figures came about, and which say nothing of trained weights."""
    named = " and ".join(untrained_models(results))
    if not named:
        return METHOD
    untrained = f"The weights of {named} are untrained; that changes no speed, but {CARRIED_OVER}."
    return f"{METHOD} {untrained}"


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
