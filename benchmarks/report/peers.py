"""How the peers are set up, as their adapters say, and what they ran on."""

import inspect
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.peers.clients import CLIENTS
from benchmarks.peers.encoders import ENCODERS
from benchmarks.peers.stores import STORES
from benchmarks.report.grid import Grid, sections
from benchmarks.results import Result

NOTE = (
    "Each peer runs in a process of its own, as its documentation recommends; redis-py and "
    "asyncpg run in ours. On a CPU all but faster-clip compute in fp32; openvino is told to, as "
    "it would choose bfloat16 by itself. fastembed's option `parallel` starts its processes anew "
    "in every call, which takes seconds that cannot be left out, so it is not used."
)
HEADINGS = {"text": "instructions", "image": "images"}
"""By kind of input."""
STORES_HEADING = "cache and search"


def peers(results: Sequence[Result]) -> Grid:
    """A row for each peer: its package on PyPI, what it loads, and the versions it ran on."""
    runs_on = {name: on for each in results for name, on in each.findings.runs_on.items()}
    rows = [
        (heading, [name, package, _summary(load), _versions(name, runs_on)])
        for heading, name, package, load in _adapters()
    ]
    rows += [
        (STORES_HEADING, [name, client.package, client.set_up, _installed(name, results)])
        for name, client in CLIENTS.items()
    ]
    columns = ("peer", "package", "set up as", "ran on")
    return Grid("How peers are set up", columns, sections(rows), words=4)


def _adapters() -> Iterator[tuple[str, str, str, object]]:
    for (kind, name), encoder in ENCODERS.items():
        yield HEADINGS[kind], name, encoder.package, encoder.load
    for name, store in STORES.items():
        yield STORES_HEADING, name, name, store.start


def _versions(name: str, runs_on: Mapping[str, Mapping[str, str]]) -> str:
    """Nothing where it was not measured, or needs no other package."""
    found = (on for named, on in runs_on.items() if named.rpartition(" ")[0] == name)
    return ", ".join(f"{package} {version}" for package, version in next(found, {}).items())


def _installed(client: str, results: Sequence[Result]) -> str:
    """As `_versions`, of a client that runs in the suites' own process."""
    measured = (
        each.machine.packages
        for each in results
        if any(row.subject.startswith(client) for row in each.findings.rows)
    )
    packages = next(measured, {})
    return ", ".join(f"{name} {packages[name]}" for name in CLIENTS[client].on if name in packages)


def _summary(load: object) -> str:
    """The first line of its docstring."""
    return (inspect.getdoc(load) or "").partition("\n")[0].rstrip(".")
