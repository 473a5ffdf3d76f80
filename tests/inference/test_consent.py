"""Nothing is stored without a clear yes, and a customer is asked once in a while."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.inference.eventually import eventually
from tests.outage import Proxy
from vla_embeddings import EmbeddingService
from vla_embeddings.errors import InvalidInput, UnknownName
from vla_embeddings.inference import ConsentCheck, ConsentTable, InferenceEmbeddings, consent
from vla_embeddings.inference.consent import Consent
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import Database

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


class Counted:
    """Answers from a set, and counts the questions."""

    def __init__(self, *agreed: str) -> None:
        self.agreed = set(agreed)
        self.questions = 0

    async def __call__(self, customer_id: str) -> bool:
        self.questions += 1
        await asyncio.sleep(0)
        return customer_id in self.agreed


async def test_an_answer_holds_for_its_ttl() -> None:
    check = Counted("customer_123")
    lasting, fleeting = Consent(check, ttl=60), Consent(check, ttl=0)

    assert [await lasting.ask("customer_123") for _ in range(3)] == ["granted"] * 3
    assert check.questions == 1
    check.agreed.clear()
    assert await lasting.ask("customer_123") == "granted"
    assert [await fleeting.ask("customer_123") for _ in range(3)] == ["denied"] * 3
    assert check.questions == 4


async def test_concurrent_questions_about_a_customer_are_asked_once() -> None:
    check = Counted("customer_123")
    asked = Consent(check, ttl=60)

    verdicts = await asyncio.gather(*[asked.ask("customer_123") for _ in range(100)])

    assert set(verdicts) == {"granted"}
    assert check.questions == 1


async def test_after_forget_even_a_question_under_way_is_asked_anew() -> None:
    check = Counted("customer_123")
    asked = Consent(check, ttl=60)
    under_way = asyncio.create_task(asked.ask("customer_123"))
    await asyncio.sleep(0)

    asked.forget("customer_123")
    check.agreed.clear()

    await under_way
    assert await asked.ask("customer_123") == "denied"


async def test_an_answer_holds_for_the_id_as_it_was_spelled() -> None:
    """A column of type text may have two customers there."""
    asked = Consent(Counted(UUID), ttl=60)

    assert await asked.ask(UUID) == "granted"
    assert await asked.ask(UUID.upper()) == "denied"


@pytest.mark.parametrize("spelling", ["3F2504E0-4F89-11D3-9A0C-0305E82C3301", f"{{{UUID}}}"])
async def test_a_uuid_is_forgotten_in_any_spelling(spelling: str) -> None:
    check = Counted(UUID, spelling)
    asked = Consent(check, ttl=60)
    assert await asked.ask(spelling) == "granted"

    asked.forget(UUID)
    check.agreed.clear()

    assert await asked.ask(spelling) == "denied"


@pytest.mark.parametrize("answer", [None, 1, "yes", False])
async def test_anything_but_true_is_a_no(answer: Any) -> None:
    async def check(customer_id: str) -> bool:
        return answer  # type: ignore[no-any-return]  # a check that is not typed

    assert await Consent(check, ttl=60).ask("customer_123") == "denied"


async def test_without_a_check_or_a_customer_the_answer_is_no() -> None:
    assert await Consent(None, ttl=60).ask("customer_123") == "no check"
    assert await Consent(Counted(""), ttl=60).ask("") == "no customer"
    assert await Consent(Counted(), ttl=60).ask(None) == "no customer"


async def test_a_check_that_fails_or_hangs_denies_and_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consent, "CHECK_SECONDS", 0.02)
    faults: list[Any] = [OSError("no route"), asyncio.Event(), None]

    async def check(customer_id: str) -> bool:
        fault = faults.pop(0)
        if isinstance(fault, Exception):
            raise fault
        if fault:
            await fault.wait()
        return True

    asked = Consent(check, ttl=60)

    assert await asked.ask("customer_123") == "failed"
    hanging = await asyncio.gather(asked.ask("customer_123"), asked.ask("customer_123"))
    assert set(hanging) == {"timed out"}
    assert await asked.ask("customer_123") == "granted"


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "MAX_REMEMBERED", 10)
    asked = Consent(Counted(), ttl=60)

    for number in range(100):
        await asked.ask(f"customer_{number}")

    assert len(asked._asked) <= 10


@pytest.mark.parametrize(("key", "ids"), [("text", ["ann", "bob"]), ("bigint", ["1", "2"])])
async def test_a_table_tells_who_agreed(db: Database, key: str, ids: list[str]) -> None:
    await db.pool.execute(f'CREATE TABLE "Customers" (id {key}, "may store" boolean)')
    yes, mixed = ids
    await db.pool.execute(
        f"INSERT INTO \"Customers\" VALUES ('{yes}', true), ('{mixed}', true), "
        f"('{mixed}', NULL), ('7', false), ('8', NULL)"
    )
    check = ConsentTable(db, table='"Customers"', id_column="id", consent_column="may store")

    answers = {customer: await check(customer) for customer in (*ids, "7", "8", "9")}

    assert answers == {yes: True, mixed: False, "7": False, "8": False, "9": False}


async def test_a_table_that_cannot_answer_denies(db: Database) -> None:
    await db.pool.execute("CREATE TABLE customers (id bigint, agreed boolean)")
    wrong_column = ConsentTable(db, table="customers", id_column="id", consent_column="consent")
    check = ConsentTable(db, table="customers", id_column="id", consent_column="agreed")

    with pytest.raises(UnknownName, match="consent"):
        await wrong_column("1")
    with pytest.raises(InvalidInput, match="customer_123"):
        await check("customer_123")
    assert await Consent(wrong_column, ttl=60).ask("1") == "failed"


async def test_a_customer_is_none_whose_id_begins_alike(db: Database) -> None:
    """The column holds 3 characters: a cast to its type would cut the id off."""
    await db.pool.execute("CREATE DOMAIN short AS varchar(3)")
    await db.pool.execute("CREATE TABLE customers (id short, agreed boolean)")
    await db.pool.execute("INSERT INTO customers VALUES ('ann', true)")
    check = ConsentTable(db, table="customers", id_column="id", consent_column="agreed")

    assert await check("ann") is True
    assert await check("anna") is False


@pytest.mark.parametrize("halted", [False, True], ids=["dead", "halted"])
async def test_a_table_behind_a_dead_server_is_asked_again(
    db: Database, fragile: Database, proxy: Proxy, halted: bool
) -> None:
    await db.pool.execute("CREATE TABLE customers (id text, agreed boolean)")
    await db.pool.execute("INSERT INTO customers VALUES ('ann', true)")
    check = ConsentTable(fragile, table="customers", id_column="id", consent_column="agreed")
    asked = Consent(check, ttl=60)

    async def granted() -> bool:
        return await asked.ask("ann") == "granted"

    if halted:
        proxy.halt()
    else:
        await proxy.shut()

    assert await asked.ask("ann") == "unavailable"

    await proxy.open()
    await eventually(granted)


async def test_what_comes_while_the_consent_table_is_down_is_stored_afterwards(
    service: EmbeddingService, db: Database, fragile: Database, proxy: Proxy
) -> None:
    await db.pool.execute("CREATE TABLE customers (id text, agreed boolean)")
    await db.pool.execute("INSERT INTO customers VALUES ('ann', true), ('bob', false)")
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (1), (2)")
    check = ConsentTable(fragile, table="customers", id_column="id", consent_column="agreed")
    await proxy.shut()

    async with InferenceEmbeddings(service, fragile, consent=check, budget_ms=20_000) as inference:
        for analytics_id, customer_id in enumerate(("ann", "bob"), start=1):
            await inference.beside(
                asyncio.sleep(0),
                instruction="pick up the red block",
                image=make_scenes(1)[0].image,
                customer_id=customer_id,
                analytics_id=analytics_id,
            )
        await proxy.open()

    stored = "SELECT array_agg(id) FROM instruction_analytics WHERE instruction_embedding "
    assert await db.pool.fetchval(f"{stored} IS NOT NULL") == [1]
    assert await db.pool.fetchval("SELECT array_agg(customer_id) FROM context_metadata") == ["ann"]


async def _fails(customer_id: str) -> bool:
    raise OSError("no route to the consent service")


@pytest.mark.parametrize(
    ("customer_id", "check", "reason"),
    [
        ("customer_123", None, "no check"),
        ("customer_123", Counted("another"), "denied"),
        (None, Counted("another"), "no customer"),
        ("customer_123", _fails, "failed"),
    ],
)
async def test_without_consent_the_caller_gets_vectors_and_the_database_none(
    service: EmbeddingService,
    db: Database,
    customer_id: str | None,
    check: ConsentCheck | None,
    reason: str,
) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (456)")
    before = _refused(reason)

    async with InferenceEmbeddings(service, db, consent=check, budget_ms=20_000) as inference:
        _, embedded = await inference.beside(
            asyncio.sleep(0),
            instruction="pick up the red block",
            image=make_scenes(1)[0].image,
            customer_id=customer_id,
            analytics_id=456,
        )

    assert embedded.instruction.vector is not None
    assert embedded.image.vector is not None
    assert _refused(reason) == before + 2
    assert (
        await db.pool.fetchval("SELECT count(instruction_embedding) FROM instruction_analytics")
        == 0
    )
    assert await db.pool.fetchval("SELECT count(*) FROM context_metadata") == 0


def _refused(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("embedding_storage_refused_total", labels) or 0.0
