"""What only one of two runs measured, which no ratio would show."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Literal

from vla_embeddings.tracking.recorded import Row, Run

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
    before, after = _figures("old", old), _figures("new", new)
    common = set(map(_name, before)) & set(map(_name, after))
    these, those = (
        before.keys() | _qualities(before, common),
        after.keys() | _qualities(after, common),
    )
    return sorted([*_missing(these, those), *_missing(those, these)])


def _figures(side: Side, run: Run) -> Mapping[Alone, Row]:
    return {
        Alone(side, suite, result.size, row.work, row.subject, row.ours): row
        for suite, results in run.results.items()
        for result in results
        for row in result.findings.figures
    }


def _qualities(figures: Mapping[Alone, Row], common: Set[tuple[str, str, str, str]]) -> Set[Alone]:
    """Of ours, those beside figures that both sides have: with others they are missing anyway."""
    return {
        replace(figure, work=f"{row.work}, {name}")
        for figure, row in figures.items()
        if row.ours and _name(figure) in common
        for name, _ in row.qualities
    }


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
