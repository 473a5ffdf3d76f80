"""A look-up is made once for all who ask, and what was forgotten does not come back."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.runtime.conftest import failing_once, refuse_a_thread_once
from vla_embeddings.errors import InferenceError
from vla_embeddings.runtime.lookup import Lookup

PATIENCE = 10  # seconds, only against hanging


class Source:
    """Gives 1, 2, 3, ...; the first look at it takes until it is let go."""

    def __init__(self) -> None:
        self.looks = 0
        self.busy = threading.Event()
        self.may_end = threading.Event()

    def look(self) -> int:
        self.looks += 1
        found = self.looks
        self.busy.set()
        assert self.may_end.wait(PATIENCE)
        return found


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.may_end.set()


@pytest.fixture
def lookup(source: Source) -> Lookup[int]:
    return Lookup("lookup-test", source.look)


async def _asked(lookup: Lookup[int], callers: int) -> "list[asyncio.Task[int]]":
    """As many that wait."""
    tasks = [asyncio.create_task(lookup.ask()) for _ in range(callers)]
    await asyncio.sleep(0)
    return tasks


async def test_callers_at_once_share_one_look(source: Source, lookup: Lookup[int]) -> None:
    before = threading.active_count()
    tasks = await _asked(lookup, 300)
    assert await asyncio.to_thread(source.busy.wait, PATIENCE)
    looking = threading.active_count() - before - 1  # one is asyncio's own, which waits above
    source.may_end.set()

    assert await asyncio.gather(*tasks) == [1] * 300
    assert (await lookup.ask(), lookup.get(), lookup.result) == (1, 1, 1)
    assert looking == 1


def test_callers_of_several_event_loops_share_it(source: Source, lookup: Lookup[int]) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(asyncio.run(lookup.ask()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    source.may_end.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert found == [1] * 4


async def test_a_cancelled_caller_takes_nothing_from_the_others(
    source: Source, lookup: Lookup[int]
) -> None:
    gone, stays = await _asked(lookup, 2)

    gone.cancel()
    await asyncio.wait([gone])
    source.may_end.set()

    assert await stays == 1


async def test_a_failure_reaches_all_who_wait_and_the_next_call_looks_again(
    source: Source,
) -> None:
    today = failing_once(lambda: None, ValueError("not today"))

    def look() -> int:
        found = source.look()
        today()
        return found

    lookup = Lookup("lookup-test", look)
    tasks = await _asked(lookup, 3)
    source.may_end.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [repr(outcome) for outcome in outcomes] == ["ValueError('not today')"] * 3
    assert await lookup.ask() == 2


def test_what_is_forgotten_while_it_is_looked_up_is_not_kept(
    source: Source, lookup: Lookup[int]
) -> None:
    looking = threading.Thread(target=lookup.get)
    looking.start()
    assert source.busy.wait(PATIENCE)
    forgetting = threading.Thread(target=lookup.forget)
    forgetting.start()
    source.may_end.set()
    looking.join(PATIENCE)
    forgetting.join(PATIENCE)

    assert lookup.result is None
    assert lookup.get() == 2


async def test_a_thread_that_the_system_refuses_is_an_error_of_ours_and_asked_for_again(
    source: Source, lookup: Lookup[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source.may_end.set()
    refuse_a_thread_once(monkeypatch)

    with pytest.raises(InferenceError, match="raise the limit of threads"):
        await lookup.ask()

    assert await lookup.ask() == 1
