"""What a suite finds, as data: rows to read, verdicts on the targets, and who was missing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from benchmarks.machine import REPOSITORY, Machine
from benchmarks.spread import Spread
from vla_embeddings.errors import InvalidInput

RESULTS = REPOSITORY / "benchmarks" / "results"
"""Those of the last full and long runs, committed: the pages and the README's figures come from
them."""

ON_GPU = "-gpu"
"""Ends the name of a result that was measured on one: it stands beside that of the CPU."""
LONG = "-long"
"""Likewise of one that was measured at length: it stands beside that of the full size."""

Role = Literal["ours", "peer", "limit"]
"""Whose a figure is: this library's, another's, or what the machine can do."""

Unit = Literal["ms", "/s", "x", "s", "MB", "GFLOP/s", "GOP/s", "GB/s", ""]


def role_of(subject: str) -> Role:
    """Whose a figure of this name is; a limit is told by its row alone."""
    return "ours" if subject.startswith("ours") else "peer"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender at one work."""

    work: str
    subject: str
    figure: Spread
    """Median and quartiles, in `unit`; of a limit, its best turn within their range."""
    unit: Unit
    p90: float | None = None
    document: float | None = None
    """What the platform's own document says, in `unit`."""
    quality: float | None = None
    """Lowest cosine to our fp32 vectors of the same inputs."""
    compared: int | None = None
    """Of how many inputs."""
    model: str | None = None
    """Whose vectors the qualities are of: they mean nothing where its weights are untrained."""
    neighbours: float | None = None
    """Share of each instruction's ten nearest that are its nearest in fp32, too."""
    spearman: float | None = None
    """Rank correlation with people's judgement on the STS benchmark."""
    recall: float | None = None
    """Share of the ten truly nearest that a search found."""
    share: float | None = None
    """Of what the machine can do: 1 is its limit."""
    limit: str | None = None
    """Which limit that is: of several, the nearest."""
    role: Role | None = None
    """Whose it is where the subject does not tell: names of ours begin with `ours`."""
    turns: list[float] = field(default_factory=list)
    """The median of each turn, in `unit`, for comparing with another run; of a share of requests
    1 or 0 for each of them."""
    derived: bool = False
    """Whether it is not to be compared with another run: a difference of two other rows, or what
    no two runs share, such as few moments or one process."""

    @property
    def whose(self) -> Role:
        """Its role, by the subject where none is given."""
        return self.role or role_of(self.subject)

    @property
    def is_limit(self) -> bool:
        """Whether this is what the machine can do, and nobody's figure."""
        return self.role == "limit"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure and the bound it is held to."""

    work: str
    subject: str
    against: str | None
    """Whose figure ours is a ratio to; None for a figure of its own."""
    figure: Spread
    """For a ratio, the median within its 99 % confidence interval over the turns."""
    unit: Unit
    bound: float
    at_most: bool
    model: str | None = None
    """Whose vectors the figure is a quality of."""

    @property
    def passed(self) -> bool:
        """Whether the median is within the bound."""
        if self.at_most:
            return self.figure.median <= self.bound
        return self.figure.median >= self.bound

    @property
    def within_noise(self) -> bool:
        """Whether the bound is within the interval: another run may decide otherwise.

        Of figures that are compared with another's alone, for theirs is an interval; others have
        the range that they were seen in.
        """
        return self.against is not None and self.figure.low <= self.bound <= self.figure.high


@dataclass(frozen=True, slots=True)
class Absence:
    """A contender that could not run."""

    contender: str
    reason: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    chart: str
    """Which chart it belongs to: a stable id, such as `latency-tokens`."""
    subject: str
    x: str
    """The label of its axis, with the unit."""
    y: str
    """Likewise."""
    points: list[tuple[float, float]]
    low: list[float] = field(default_factory=list)
    """The first quartile of each point's y; none where it was seen once."""
    high: list[float] = field(default_factory=list)
    """Likewise the third."""
    labels: list[str] = field(default_factory=list)
    """One for each point where its x does not say which it is; else none."""

    @classmethod
    def through(
        cls, chart: str, subject: str, x: str, y: str, spreads: Mapping[float, Spread]
    ) -> "Series":
        """A line through medians, each between its quartiles, by their x."""
        points = [(place, spread.median) for place, spread in spreads.items()]
        low = [spread.low for spread in spreads.values()]
        high = [spread.high for spread in spreads.values()]
        return cls(chart, subject, x, y, points, low, high)


@dataclass(frozen=True, slots=True)
class Findings:
    """What one suite found."""

    rows: list[Row]
    verdicts: list[Verdict]
    absences: list[Absence]
    series: list[Series] = field(default_factory=list)
    inputs: str = ""
    """What was measured on, where it is not what the run was given."""
    runs_on: dict[str, dict[str, str]] = field(default_factory=dict)
    """The packages that do a peer's work, with their versions, by the peer's name and version."""

    @classmethod
    def joined(cls, parts: "Iterable[Findings]") -> "Findings":
        """Those of all parts, in order."""
        findings = cls([], [], [])
        for part in parts:
            findings.rows.extend(part.rows)
            findings.verdicts.extend(part.verdicts)
            findings.absences.extend(part.absences)
            findings.series.extend(part.series)
            findings.runs_on.update(part.runs_on)
        return findings


@dataclass(frozen=True, slots=True)
class Result:
    """A suite's findings, where and on what they were made."""

    suite: str
    size: str
    finished: str
    seconds: float
    inputs: str
    weights: Mapping[str, str]
    """For each model, `trained` or `untrained`; it makes no difference to speed."""
    machine: Machine
    findings: Findings
    others: float | None = None
    """The share of all processors that other work took meanwhile, 0 to 1; None if unknown."""

    def to_json(self) -> dict[str, Any]:
        """All of it, with each row's role and each verdict's outcome."""
        document = asdict(self)
        found = document["findings"]
        for written, row in zip(found["rows"], self.findings.rows, strict=True):
            written["role"] = row.whose
        for written, verdict in zip(found["verdicts"], self.findings.verdicts, strict=True):
            written |= {"passed": verdict.passed, "within_noise": verdict.within_noise}
        return document

    def save(self, folder: Path) -> None:
        """Write `<suite>.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.suite}.json").write_text(json.dumps(self.to_json(), indent=2) + "\n")


def name_of_suite(suite: str, size: str, *, on_gpu: bool) -> str:
    """That of its results."""
    return f"{suite}{ON_GPU if on_gpu else ''}{LONG if size == 'long' else ''}"


def quoted(results: Sequence[Result]) -> list[Result]:
    """Those whose figures stand for their suites: the long run's where there is one."""
    names = {each.suite for each in results}
    return [each for each in results if f"{each.suite}{LONG}" not in names]


def load_results(folder: Path) -> list[Result]:
    """Every suite's last results.

    Raises:
        InvalidInput: a file is cut short, or holds something else.
    """
    return [_load(path) for path in sorted(folder.glob("*.json"))]


def _load(path: Path) -> Result:
    try:
        return TypeAdapter(Result).validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the whole file"
        raise InvalidInput(
            f"{path} is no result of a benchmark suite: {place}: {problem['msg']}. "
            "Measure again, or remove the file."
        ) from error
