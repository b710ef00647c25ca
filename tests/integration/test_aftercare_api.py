"""Refill, refill_status and cancel through the whole HTTP side."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.panel import Panel, issue, sell, settings_for
from tests.support.serving import running

LINK = "https://example.com/p/1"
REFUSED = {"error": "Incorrect request"}
UNKNOWN_ORDER = {"error": "Incorrect order ID"}
UNKNOWN_REFILL = {"error": "Refill not found"}
TOO_EARLY = {"error": "The order was completed or refill was requested less than 24 hours ago"}


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url)


@pytest.fixture
async def panel(db: Database, settings: Settings) -> AsyncIterator[Panel]:
    await sell(db, 1)
    key = await issue(db)
    async with running(settings) as url, aiohttp.ClientSession() as http:
        yield Panel(http, url, key)


async def run_sql(db: Database, query: str, *arguments: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(query, *arguments)


async def add(panel: Panel) -> int:
    number: int = (await panel("add", service=1, link=LINK, quantity=1000))["order"]
    return number


async def completed(db: Database, panel: Panel, *, days_ago: int = 2) -> int:
    """As if the upstream had completed it that long ago."""
    number = await add(panel)
    await run_sql(
        db,
        "UPDATE orders SET status = 'completed', dispatch = 'accepted', external_order_id = number, remains = 0, "
        "charge = price, completed_at = now() - $2 * interval '1 day' WHERE number = $1",
        number,
        days_ago,
    )
    return number


async def test_cancel_answers_a_list_also_for_one_and_releases_the_money_at_once(db: Database, panel: Panel) -> None:
    await run_sql(db, "UPDATE services SET cancel = true")
    number, other = await add(panel), await add(panel)
    assert (await panel("balance"))["balance"] == "98.2"
    assert await panel("cancel", order=number) == [{"order": number, "cancel": 1}]
    assert (await panel("balance"))["balance"] == "99.1"
    status = await panel("status", order=number)
    assert (status["status"], status["charge"], status["remains"]) == ("Canceled", "0", "1000")
    assert await panel("cancel", orders=f"{number},{other},5") == [
        {"order": number, "cancel": 1},
        {"order": other, "cancel": 1},
        {"order": 5, "cancel": UNKNOWN_ORDER},
    ]
    assert (await panel("balance"))["balance"] == "100"


async def test_a_service_without_cancel_and_an_order_that_ended_are_refused(db: Database, panel: Panel) -> None:
    number = await add(panel)
    assert await panel("cancel", orders=number) == [{"order": number, "cancel": REFUSED}]
    await run_sql(db, "UPDATE services SET cancel = true")
    ended = await completed(db, panel)
    assert await panel("cancel", orders=ended) == [{"order": ended, "cancel": REFUSED}]


async def test_a_stranger_can_neither_cancel_nor_refill_nor_see_a_refill(db: Database, panel: Panel) -> None:
    await run_sql(db, "UPDATE services SET cancel = true")
    mine, done = await add(panel), await completed(db, panel)
    refill = (await panel("refill", order=done))["refill"]
    stranger = Panel(panel.http, panel.url, await issue(db))
    assert await stranger("cancel", orders=mine) == [{"order": mine, "cancel": UNKNOWN_ORDER}]
    assert await stranger("refill", order=done) == UNKNOWN_ORDER
    assert await stranger("refill_status", refill=refill) == UNKNOWN_REFILL
    assert (await panel("status", order=mine))["status"] == "Pending"


async def test_a_refill_is_asked_for_and_its_status_shown(db: Database, panel: Panel) -> None:
    number = await completed(db, panel)
    first = await panel("refill", order=number)
    assert first == await panel("refill", order=number) == {"refill": "1"}
    assert await panel("refill_status", refill=1) == {"status": "Pending"}


async def test_each_order_of_a_list_has_its_refill_or_its_refusal(db: Database, panel: Panel) -> None:
    done, young, pending = await completed(db, panel), await completed(db, panel, days_ago=0), await add(panel)
    assert await panel("refill", orders=f"{done},{young},{pending},7") == [
        {"order": done, "refill": 1},
        {"order": young, "refill": TOO_EARLY},
        {"order": pending, "refill": {"error": "The order is not completed"}},
        {"order": 7, "refill": UNKNOWN_ORDER},
    ]
    await run_sql(db, "UPDATE services SET refill = false")
    assert await panel("refill", order=young) == {"error": "Refill is disabled for this service"}


@pytest.mark.parametrize(
    ("state", "word", "shown"),
    [
        ("requested", None, "Pending"),
        ("unknown", None, "Pending"),
        ("accepted", None, "Pending"),
        ("accepted", "In progress", "In progress"),
        ("completed", "In progress", "Completed"),
        ("refused", None, "Rejected"),
        ("rejected", None, "Rejected"),
    ],
)
async def test_each_state_of_a_refill_has_its_word(
    db: Database, panel: Panel, state: str, word: str | None, shown: str
) -> None:
    await panel("refill", order=await completed(db, panel))
    await run_sql(db, "UPDATE refills SET state = $1, upstream_status = $2", state, word)
    assert await panel("refill_status", refills="1,3") == [
        {"refill": 1, "status": shown},
        {"refill": 3, "status": UNKNOWN_REFILL},
    ]
