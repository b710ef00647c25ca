"""Refusals that are of us, words that may be of our own last call, and refills that never end."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from compat.failures import UpstreamRefusal
from compat.status import UpstreamStatus
from compat.wire import RefillReport, RefillStatus
from gateway.orders.model import Order
from gateway.orders.triggers import Reported
from gateway.providers.money.balances import learn_balances
from tests.support.aftercare import Desk, desk
from tests.support.factories import open_alerts

__all__ = ["desk"]

COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)
OF_OUR_KEY = [(200, "Invalid API key"), (200, "API key is incorrect."), (401, "Unauthorized"), (403, "Forbidden")]


async def asked(desk: Desk, upstream_id: str = "77") -> tuple[Order, int]:
    order = await desk.ended(COMPLETED, upstream_id)
    number = await desk.refill(order)
    assert isinstance(number, int)
    return order, number


@pytest.mark.parametrize(("status", "text"), OF_OUR_KEY)
async def test_a_refusal_of_our_key_ends_no_refill(desk: Desk, status: int, text: str) -> None:
    _, number = await asked(desk)
    desk.panel.status, desk.panel.answers["refill"] = status, {"error": text}
    await desk.send()
    assert await desk.refill_row(number) == ("requested", None, None)
    desk.panel.status, desk.panel.answers["refill"] = 200, {"refill": 5}
    await desk.send()
    assert await desk.refill_row(number) == ("accepted", "5", None)


@pytest.mark.parametrize(("status", "text"), OF_OUR_KEY)
@pytest.mark.parametrize("many", [False, True])
async def test_a_refusal_of_our_key_ends_no_cancel(desk: Desk, status: int, text: str, many: bool) -> None:
    orders = [await desk.accepted(upstream_id) for upstream_id in ("1", "2")[: many + 1]]
    await desk.cancel(*orders)
    desk.panel.status, desk.panel.answers["cancel"] = status, {"error": text}
    await desk.act()
    assert [await desk.wish(order) for order in orders] == [("wanted", text, 1)] * len(orders)
    assert desk.panel.called("cancel") == 1


async def test_an_unknown_order_is_an_answer_also_with_403(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.status, desk.panel.answers["cancel"] = 403, {"error": "Incorrect order ID"}
    await desk.act()
    assert await desk.wish(order) == ("refused", "Incorrect order ID", 0)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Refill already requested", "unknown"),
        ("Refill is disabled for this service", "refused"),
        ("Incorrect order ID", "refused"),
        ("This action is invalid", "refused"),
    ],
)
async def test_what_is_refused_after_a_call_without_an_answer(desk: Desk, text: str, state: str) -> None:
    _, number = await asked(desk)
    desk.panel.status = 500
    await desk.send()
    desk.panel.status, desk.panel.answers["refill"] = 200, {"error": text}
    await desk.send()
    assert await desk.refill_row(number) == (state, None, None)
    assert await open_alerts(desk.db) == (["unknown_refill"] if state == "unknown" else [])


async def test_a_refill_that_is_another_orders_is_not_taken_for_ours(desk: Desk) -> None:
    _, number = await asked(desk)
    desk.panel.answers["refill"] = {"order": 78, "refill": 5}
    await desk.send()
    assert await desk.refill_row(number) == ("requested", None, None)


async def accepted_refills(desk: Desk, *upstream_ids: str) -> list[int]:
    numbers = []
    for upstream_id in upstream_ids:
        numbers.append((await asked(desk, upstream_id))[1])
        desk.panel.answers["refill"] = {"refill": upstream_id}
        await desk.send()
    return numbers


async def test_a_list_that_is_refused_for_one_refill_is_asked_by_halves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, *others = await accepted_refills(desk, "1", "2", "3", "4")

    async def answer(_provider_id: UUID, ids: Sequence[str]) -> dict[str, RefillReport]:
        if "1" in ids and len(ids) > 1:
            raise UpstreamRefusal("error.incorrect_refill_id", None)
        if "1" in ids:
            return {"1": RefillReport(error="Refill not found")}
        return {refill: RefillReport(word="Completed", status=RefillStatus.COMPLETED) for refill in ids}

    monkeypatch.setattr(desk.upstreams, "refill_statuses", answer)
    await desk.follow()
    assert [(await desk.refill_row(number))[0] for number in others] == ["completed"] * 3
    assert (await desk.refill_row(gone))[0] == "accepted"


@pytest.mark.parametrize(
    "answer", [{"error": "Refill not found"}, {"error": "Invalid API key"}, "?", {"status": "Pending"}]
)
async def test_a_refill_without_an_end_is_given_up_with_an_alert_and_may_be_asked_for_anew(
    desk: Desk, answer: Any
) -> None:
    order, number = await asked(desk)
    desk.panel.answers |= {"refill": {"refill": "5"}, "refill_status": answer}
    await desk.send()
    await desk.sql("UPDATE refills SET created_at = now() - interval '29 days'")
    await desk.follow()
    assert (await desk.refill_row(number))[0] == "accepted"
    await desk.sql("UPDATE refills SET created_at = now() - interval '31 days'")
    await desk.follow()
    assert (await desk.refill_row(number))[0] == "unknown"
    assert await open_alerts(desk.db) == ["unknown_refill"]
    assert await desk.follow() == 0
    assert await desk.refill(order) == number
    await desk.send()
    await desk.follow()
    assert (await desk.refill_row(number))[0] == "accepted", "its time begins anew"


async def test_the_last_word_counts_however_late_it_comes(desk: Desk) -> None:
    [number] = await accepted_refills(desk, "5")
    desk.panel.answers["refill_status"] = {"refill": 5, "status": "Completed"}
    await desk.sql("UPDATE refills SET created_at = now() - interval '31 days'")
    await desk.follow()
    assert (await desk.refill_row(number))[0] == "completed"


async def test_a_provider_that_refuses_our_key_raises_an_alert_until_it_takes_it(desk: Desk) -> None:
    known = desk.panel.answers["balance"]
    desk.panel.answers["balance"] = {"error": "Invalid API key"}
    await learn_balances(desk.db, desk.upstreams)
    await learn_balances(desk.db, desk.upstreams)
    assert await open_alerts(desk.db) == ["provider_key_refused"]
    desk.panel.answers["balance"] = known
    await learn_balances(desk.db, desk.upstreams)
    assert await open_alerts(desk.db) == []


async def test_an_order_that_was_refunded_since_is_not_refilled(desk: Desk) -> None:
    order, number = await asked(desk)
    await desk.report(order, Reported("Canceled", UpstreamStatus.CANCELED))
    await desk.send()
    assert desk.panel.called("refill") == 0
    assert (await desk.refill_row(number))[0] == "refused"


async def test_an_order_that_was_refunded_after_a_call_without_an_answer_leaves_no_refill_open(desk: Desk) -> None:
    order, number = await asked(desk)
    desk.panel.status = 500
    await desk.send()
    desk.panel.status = 200
    await desk.report(order, Reported("Canceled", UpstreamStatus.CANCELED))
    await desk.send()
    assert desk.panel.called("refill") == 1
    assert (await desk.refill_row(number))[0] == "refused"
    assert await open_alerts(desk.db) == ["refunded_by_upstream"]


async def test_a_wish_that_was_taken_is_answered_the_same_after_cancel_was_switched_off(desk: Desk) -> None:
    order = await desk.accepted()
    assert await desk.cancel(order) == [None]
    await desk.sql("UPDATE services SET cancel = false")
    assert await desk.cancel(order) == [None]
