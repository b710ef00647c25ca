"""Refills on real rows: one open an order, asked for upstream until it answers, followed to the end."""

import asyncio
from typing import Any

import pytest

from compat.status import UpstreamStatus
from gateway.dispatch.refills import send_refills
from gateway.errors import OrderNotCompleted, RefillDisabled, RefillTooEarly
from gateway.orders.model import Order
from gateway.orders.refills.asking import find_refills
from gateway.orders.refills.model import TRIES_MAX, State
from gateway.orders.triggers import Reported
from gateway.tracking.refills import follow_refills
from tests.support.aftercare import Desk, desk
from tests.support.factories import add_account, ledger_rows, open_alerts, place_order

__all__ = ["desk"]

COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)
PARTIAL = Reported("Partial", UpstreamStatus.PARTIAL, remains=400)
TOO_EARLY = "The order was completed or refill was requested less than 24 hours ago"


@pytest.fixture
async def order(desk: Desk) -> Order:
    """Completed two days ago."""
    return await desk.ended(COMPLETED)


async def asked(desk: Desk, order: Order) -> int:
    number = await desk.refill(order)
    assert isinstance(number, int)
    return number


async def taken(desk: Desk, order: Order) -> int:
    """A refill that the upstream took as 5."""
    number = await asked(desk, order)
    desk.panel.answers["refill"] = {"refill": "5"}
    await desk.send()
    return number


async def events(desk: Desk) -> list[dict[str, Any]]:
    async with desk.db.connection() as connection:
        rows = await connection.fetch("SELECT type, data FROM events WHERE object_type = 'refill' ORDER BY id")
    return [{"type": row["type"], **row["data"]} for row in rows]


# Asking --------------------------------------------------------------------------------------


async def test_a_refill_is_asked_for_and_asking_again_answers_the_same_number(desk: Desk, order: Order) -> None:
    assert [await asked(desk, order), await asked(desk, order)] == [1, 1]
    assert await desk.refill_row(1) == ("requested", None, None)
    assert await events(desk) == [
        {"type": "refill.requested", "number": 1, "order": order.number, "state": "requested"}
    ]
    assert await desk.history(order) == ["RefillRequested"]


async def test_of_thirty_who_ask_at_once_all_get_the_one_number(desk: Desk, order: Order) -> None:
    assert await asyncio.gather(*(desk.refill(order) for _ in range(30))) == [1] * 30
    assert await desk.row("SELECT count(*) AS rows FROM refills") == {"rows": 1}
    assert len(await events(desk)) == 1


async def test_a_service_without_refill_refuses_it(desk: Desk, order: Order) -> None:
    await desk.sql("UPDATE services SET refill = false")
    assert isinstance(await desk.refill(order), RefillDisabled)


async def test_an_order_that_is_not_completed_is_not_refilled(desk: Desk) -> None:
    for order in (
        await place_order(desk.db, desk.shop),
        await desk.accepted("78"),
        await desk.ended(PARTIAL, "79"),
    ):
        assert isinstance(await desk.refill(order), OrderNotCompleted)


async def test_an_order_that_was_completed_less_than_a_day_ago_is_not_refilled(desk: Desk) -> None:
    assert isinstance(await desk.refill(await desk.ended(COMPLETED, ago_s=86_300)), RefillTooEarly)


@pytest.mark.parametrize("state", ["completed", "rejected", "refused"])
async def test_the_next_refill_may_be_asked_for_a_day_after_the_last(desk: Desk, order: Order, state: str) -> None:
    await asked(desk, order)
    await desk.sql("UPDATE refills SET state = $1", state)
    assert isinstance(await desk.refill(order), RefillTooEarly)
    await desk.sql("UPDATE refills SET created_at = now() - interval '25 hours'")
    assert await desk.refill(order) == 2


async def test_a_strangers_order_is_left_out_and_his_refills_are_not_shown(desk: Desk, order: Order) -> None:
    number = await asked(desk, order)
    stranger = await add_account(desk.db)
    assert await desk.refill(order, user_id=stranger.user_id) is None
    assert await find_refills(desk.db, stranger.user_id, [number]) == {}
    assert list(await find_refills(desk.db, order.user_id, [0, number, -1, 2**40])) == [number]


# Sending -------------------------------------------------------------------------------------


async def test_a_refill_that_the_upstream_takes_is_accepted(desk: Desk, order: Order) -> None:
    number = await taken(desk, order)
    assert await desk.refill_row(number) == ("accepted", "5", None)
    assert [event["type"] for event in await events(desk)] == ["refill.requested", "refill.accepted"]
    assert "77" in str(desk.panel.calls[-1])
    assert await asked(desk, order) == number
    assert await desk.send() == 0


async def test_a_refill_that_the_upstream_refuses_is_rejected(desk: Desk, order: Order) -> None:
    number = await asked(desk, order)
    desk.panel.answers["refill"] = {"error": TOO_EARLY}
    await desk.send()
    assert await desk.refill_row(number) == ("refused", None, None)
    assert [event["type"] for event in await events(desk)] == ["refill.requested", "refill.rejected"]
    assert await desk.history(order) == ["RefillRequested", "RefillRefused"]
    assert await open_alerts(desk.db) == []


async def test_a_refill_without_an_answer_is_asked_for_again(desk: Desk, order: Order) -> None:
    number = await asked(desk, order)
    desk.panel.status = 500
    await desk.send()
    assert await desk.refill_row(number) == ("requested", None, None)
    desk.panel.status = 200
    desk.panel.answers["refill"] = {"refill": 5}
    await desk.send()
    assert await desk.refill_row(number) == ("accepted", "5", None)


async def test_one_that_was_perhaps_taken_before_it_is_refused_is_unknown(desk: Desk, order: Order) -> None:
    number = await asked(desk, order)
    desk.panel.status = 500
    await desk.send()
    desk.panel.status = 200
    desk.panel.answers["refill"] = {"error": f"{TOO_EARLY}."}
    await desk.send()
    assert await desk.refill_row(number) == ("unknown", None, None)
    assert await open_alerts(desk.db) == ["unknown_refill"]
    assert await asked(desk, order) == number
    assert await desk.send() == 0


async def test_a_refill_that_is_never_answered_is_given_up_with_an_alert(desk: Desk, order: Order) -> None:
    number = await asked(desk, order)
    await desk.sql("UPDATE refills SET tries = $1", TRIES_MAX - 1)
    desk.panel.status = 500
    await desk.send()
    assert await desk.refill_row(number) == ("unknown", None, None)
    assert await open_alerts(desk.db) == ["unknown_refill"]


async def test_an_unknown_refill_is_sent_once_more_when_it_is_asked_for_after_a_day(desk: Desk, order: Order) -> None:
    number = await asked(desk, order)
    await desk.sql("UPDATE refills SET tries = $1", TRIES_MAX - 1)
    desk.panel.status = 500
    await desk.send()
    await desk.sql("UPDATE refills SET created_at = now() - interval '25 hours'")
    assert await asked(desk, order) == number
    desk.panel.status = 200
    desk.panel.answers["refill"] = {"refill": 5}
    await desk.send()
    assert await desk.refill_row(number) == ("accepted", "5", None)
    assert await open_alerts(desk.db) == []


async def test_two_workers_ask_for_a_refill_once(desk: Desk, order: Order) -> None:
    await asked(desk, order)
    desk.panel.answers["refill"] = {"refill": "5"}
    turns = await asyncio.gather(*(send_refills(desk.db, desk.upstreams, 5) for _ in range(2)))
    assert sorted(turns) == [0, 1]
    assert desk.panel.called("refill") == 1


# Following -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "state"), [("Completed", State.COMPLETED), ("Rejected", State.REJECTED)])
async def test_a_refill_ends_as_the_upstream_says(desk: Desk, order: Order, word: str, state: State) -> None:
    number = await taken(desk, order)
    desk.panel.answers["refill_status"] = [{"refill": 5, "status": word}]
    await desk.follow()
    assert (await desk.refill_row(number))[0] == state
    assert [event["type"] for event in await events(desk)][-1] == f"refill.{state}"
    assert await desk.follow() == 0
    assert await ledger_rows(desk.db, order.id) == [("hold", order.price), ("withdraw", order.price)]
    await desk.assert_books_are_clean()


async def test_a_refill_under_way_is_shown_so_and_asked_about_again(desk: Desk, order: Order) -> None:
    number = await taken(desk, order)
    desk.panel.answers["refill_status"] = [{"refill": 5, "status": "In progress"}]
    await desk.follow()
    assert await desk.refill_row(number) == ("accepted", "5", "In progress")
    assert await desk.follow() == 1


@pytest.mark.parametrize("word", ["Zzz", {"error": "Refill not found"}])
async def test_a_refill_whose_status_is_unreadable_is_told_until_it_can_be_read(
    desk: Desk, order: Order, word: object
) -> None:
    await taken(desk, order)
    desk.panel.answers["refill_status"] = [{"refill": 5, "status": word}]
    await desk.follow()
    assert await open_alerts(desk.db) == ["unreadable_refill"]
    desk.panel.answers["refill_status"] = [{"refill": 5, "status": "Completed"}]
    await desk.follow()
    assert await open_alerts(desk.db) == []


@pytest.mark.parametrize("answer", [[], [{"refill": 5, "status": "Zzz"}], {"error": "Invalid API key"}, "?"])
async def test_a_refill_status_that_cannot_be_read_changes_nothing(desk: Desk, order: Order, answer: object) -> None:
    number = await taken(desk, order)
    desk.panel.answers["refill_status"] = answer
    assert await desk.follow() == 1
    assert await desk.refill_row(number) == ("accepted", "5", None)


async def test_a_refill_is_asked_about_at_a_tenth_of_its_age(desk: Desk, order: Order) -> None:
    await taken(desk, order)
    for age_s, next_s in ((1, 5), (600, 60), (86_400, 900)):
        await desk.sql("UPDATE refills SET created_at = now() - $1 * interval '1 s', next_try_at = now()", age_s)
        await follow_refills(desk.db, desk.upstreams, 5, 900)
        row = await desk.row("SELECT extract(epoch FROM next_try_at - updated_at)::float8 AS s FROM refills")
        assert row["s"] == pytest.approx(next_s, abs=1)


async def test_a_hundred_refills_are_followed_by_one_call(desk: Desk) -> None:
    for upstream_id in range(100):
        await asked(desk, await desk.ended(COMPLETED, str(upstream_id)))
    await desk.sql("UPDATE refills SET state = 'accepted', upstream_id = number")
    desk.panel.answers["refill_status"] = [{"refill": number, "status": "Completed"} for number in range(1, 101)]
    assert await desk.follow() == 100
    assert desk.panel.called("refill_status") == 1
    assert await desk.row("SELECT count(*) AS done FROM refills WHERE state = 'completed'") == {"done": 100}


@pytest.mark.parametrize("words", ["Refill not found", "error.incorrect_refill_id"])
async def test_a_refill_that_the_upstream_forgot_does_not_hide_the_others(desk: Desk, words: str) -> None:
    numbers = [await asked(desk, await desk.ended(COMPLETED, str(upstream_id))) for upstream_id in (1, 2, 3)]
    await desk.sql("UPDATE refills SET state = 'accepted', upstream_id = number")

    def answer(form: dict[str, str]) -> object:
        ids = (form.get("refills") or form["refill"]).split(",")
        if str(numbers[1]) in ids:
            return {"error": words}
        return [{"refill": number, "status": "Completed"} for number in ids]

    desk.panel.answers["refill_status"] = answer
    await desk.follow()
    states = [(await desk.refill_row(number))[0] for number in numbers]
    assert states == ["completed", "accepted", "completed"]
