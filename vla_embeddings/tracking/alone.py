"""What only one of two runs measured, which no ratio would show."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Literal

from vla_embeddings.tracking.recorded import Run

Side = Literal["old", "new"]


@dataclass(frozen=True, slots=True, order=True)
class Alone:
    """A figure of one side, or a whole suite of the size that only one side ran."""

    side: Side
    suite: str
    size: str
    """Of the suite: figures of another size are others."""
    work: str
    """Empty for a whole suite."""
    subject: str
    """Likewise."""
    ours: bool
    """Whether it is, or the suite has, a figure of ours."""

    @property
    def is_lost(self) -> bool:
        """Whether something of ours was measured before and no longer is."""
        return self.side == "old" and self.ours


def alone(old: Run, new: Run) -> list[Alone]:
    """All that one side has and the other lacks, suite by suite, the old side's last."""
    before, after = set(_figures("old", old)), set(_figures("new", new))
    return sorted([*_missing(before, after), *_missing(after, before)])


def _figures(side: Side, run: Run) -> Iterator[Alone]:
    for suite, results in run.results.items():
        for result in results:
            for row in result.findings.figures:
                yield Alone(side, suite, result.size, row.work, row.subject, row.ours)


def _missing(these: Set[Alone], those: Set[Alone]) -> Iterator[Alone]:
    """Of these, what those lack; as a whole suite where they have none of it."""
    suites = {(each.suite, each.size) for each in those}
    named = {_name(each) for each in those}
    whole: dict[tuple[str, str], Alone] = {}
    for each in these:
        key = (each.suite, each.size)
        if key not in suites:
            ours = each.ours or (key in whole and whole[key].ours)
            whole[key] = Alone(each.side, *key, "", "", ours)
        elif _name(each) not in named:
            yield each
    yield from whole.values()


def _name(each: Alone) -> tuple[str, str, str, str]:
    return each.suite, each.size, each.work, each.subject
