"""The results that `python -m benchmarks` wrote, as far as comparing them needs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from vla_embeddings.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Spread:
    """A median within the range it was seen in."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One contender at one work."""

    work: str
    subject: str
    figure: Spread
    unit: str
    quality: float | None = None
    neighbours: float | None = None
    spearman: float | None = None
    recall: float | None = None
    turns: list[float] = field(default_factory=list)
    derived: bool = False
    """Whether it is not to be compared: a difference of two others, or what no two runs share."""
    at_most: bool = False
    """Of a figure without a unit: whether less is better, as of a count of faults."""
    role: Literal["ours", "peer", "limit"] | None = None
    """Whose it is where the subject does not tell: names of ours begin with `ours`."""

    @property
    def ours(self) -> bool:
        """Whether the library itself was measured; else it was a peer or a limit."""
        return self.subject.startswith("ours") if self.role is None else self.role == "ours"

    @property
    def is_counted(self) -> bool:
        """Whether it is a share of requests, each of which it has as 1 or 0."""
        return self.unit == "" and set(self.turns) <= {0.0, 1.0}

    @property
    def samples(self) -> Sequence[float]:
        """The medians of its turns; a row that kept none is one turn."""
        return self.turns or [self.figure.median]

    @property
    def qualities(self) -> Iterator[tuple[str, float]]:
        """Those that were measured beside the speed, by name."""
        for name in ("quality", "neighbours", "spearman", "recall"):
            value = getattr(self, name)
            if value is not None:
                yield name, value


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run was measured on, as far as speed depends on it."""

    cpu: str
    cpus: int
    commit: str
    gpu: str = ""
    """Where the models ran on one."""

    @property
    def hardware(self) -> str:
        """Equal ones can be compared."""
        return f"{self.cpu}, {self.cpus} CPUs{self.gpu and f', {self.gpu}'}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure that was held to a bound."""

    work: str
    subject: str
    against: str | None
    figure: Spread
    unit: str
    at_most: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What one suite found."""

    rows: list[Row]
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def figures(self) -> Iterator[Row]:
        """What was measured by itself: the rows, and qualities and counts that are verdicts
        alone."""
        yield from (row for row in self.rows if not row.derived)
        named = {(row.work, row.subject) for row in self.rows}
        for each in self.verdicts:
            alone = each.against is None and (each.work, each.subject) not in named
            if alone and each.unit == "":
                yield Row(each.work, each.subject, each.figure, "", at_most=each.at_most)


@dataclass(frozen=True, slots=True)
class Result:
    """One suite's result."""

    suite: str
    size: str
    machine: Machine
    findings: Findings
    others: float | None = None
    """The share of all processors that other work took meanwhile; None if unknown."""


@dataclass(frozen=True, slots=True)
class Run:
    """The results of a run, or of several of the same code, by suite."""

    source: str
    results: dict[str, list[Result]]

    @property
    def machines(self) -> set[str]:
        """The hardware they were measured on."""
        return {result.machine.hardware for result in self._all}

    @property
    def commits(self) -> str:
        """The commits measured; usually one."""
        return ", ".join(sorted({result.machine.commit for result in self._all}))

    @property
    def others(self) -> float:
        """The largest share of the processors that other work took during a suite."""
        return max(result.others or 0.0 for result in self._all)

    @property
    def _all(self) -> list[Result]:
        return [result for results in self.results.values() for result in results]


_READER = TypeAdapter(dict[str, Result])


def read_run(path: Path) -> Run:
    """Read a folder of `SUITE.json` files, one of them, or what `--json` wrote.

    Files of a folder that hold the same suite are several runs of the same code.

    Raises:
        InvalidInput: there is no such file, or it holds no benchmark results.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    results: dict[str, list[Result]] = {}
    for file in files:
        for result in _results(file):
            results.setdefault(result.suite, []).append(result)
    if not results:
        raise InvalidInput(f"{path} holds no results. Make some: python -m benchmarks")
    return Run(str(path), results)


def _results(file: Path) -> list[Result]:
    try:
        content: Any = json.loads(file.read_bytes())
        alone = isinstance(content, dict) and "suite" in content
        documents = _READER.validate_python({file.stem: content} if alone else content)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidInput(
            f"{file} is no result of `python -m benchmarks`: {_problem(error)}. Measure again, or "
            "name what it wrote: a file, or a folder of them."
        ) from error
    return list(documents.values())


def _problem(error: ValueError) -> str:
    """What is wrong and where; of several, the first."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole file"
    return f"{place}: {first['msg']}"
