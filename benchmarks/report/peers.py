"""How the peers of the models are set up, as their adapters say."""

import inspect

from benchmarks.peers.encoders import ENCODERS
from benchmarks.report.grid import Grid, sections

NOTE = (
    "Each peer runs in a process of its own, as its documentation recommends. On a CPU all but "
    "faster-clip compute in fp32; openvino is told to, as it would choose bfloat16 by itself."
)
HEADINGS = {"text": "instructions", "image": "images"}
"""By kind of input."""


def peers() -> Grid:
    """A row for each peer: its package on PyPI, and what it loads."""
    rows = [
        (HEADINGS[kind], [name, adapter.package, _summary(adapter.load)])
        for (kind, name), adapter in ENCODERS.items()
    ]
    columns = ("peer", "package", "set up as")
    return Grid("How peers are set up", columns, sections(rows), words=3)


def _summary(load: object) -> str:
    """The first line of its docstring."""
    return (inspect.getdoc(load) or "").partition("\n")[0].rstrip(".")
