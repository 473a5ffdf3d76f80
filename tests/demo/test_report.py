"""The demo's tables say what was found, on busy machines too."""

from io import StringIO

from rich.console import Console

from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.demo.job import Answer, Result
from vla_embeddings.demo.report import tables

FOUND = [
    {"instruction": text, "similarity": 0.5, "model_type": "openvla"}
    for text in ("carefully take the banana out of the drawer", "close the fridge")
]


async def _shown(milliseconds: float = 1.0) -> str:
    """The tables of a demo whose Redis did not answer in the end."""
    search = Answer("shut the refrigerator", "≥ 0.5, openvla only", milliseconds, FOUND)
    picture = Answer("a red cube", "by euclidean distance", 1.0, [])
    async with EmbeddingCache("redis://127.0.0.1:1") as cache:
        result = Result([], [search, picture], [], dict(await cache.get_stats()))
    shown = StringIO()
    console = Console(file=shown, width=80)
    for table in tables([], result):
        console.print(table)
    return shown.getvalue()


async def test_what_redis_did_not_say_is_a_dash() -> None:
    cells = (await _shown()).splitlines()[-2].split("│")

    assert [cell.strip() for cell in cells[1:-1]] == ["–", "–", "0", "0"]


async def test_however_long_a_search_takes_what_was_found_looks_the_same() -> None:
    def without_time(shown: str, time: str) -> str:
        return shown.replace(f"{time} ms".ljust(9), "TIME".ljust(9))

    quick = without_time(await _shown(1.3), "1.3")
    assert "TIME" in quick
    for time in ("10.0", "99.9", "1234.5"):
        assert without_time(await _shown(float(time)), time) == quick
