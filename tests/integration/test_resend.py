"""Unknown orders at an upstream that honours idempotency keys: sent again under the same key, placed once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from compat.errors import Fault
from compat.kinds import Kind
from compat.wire import AddOutcome, NotSent, Refused, Unknown
from gateway.dispatch import store
from gateway.dispatch.model import Attempt
from gateway.dispatch.outcomes import record
from gateway.dispatch.resend import resend_unknown
from gateway.keyring import Keyring
from gateway.orders.model import Dispatch, Order
from gateway.providers.actions import set_api_key
from gateway.providers.money.balances import learn_balances
from tests.support.accounts import assert_ledger_is_clean
from tests.support.aftercare import SECRETS, Desk, desk
from tests.support.factories import place_order, read_order

__all__ = ["desk"]

HONOURS = {"balance": "3", "currency": "USD", "idempotency": True}


async def unknown_order(desk: Desk) -> tuple[Order, str]:
    order = await place_order(desk.db, desk.shop)
    attempt = Attempt(uuid7(), order, Kind.DEFAULT, desk.shop.route)
    async with desk.db.transaction() as tx:
        await store.insert_attempts(tx, [attempt], timedelta(seconds=60))
    await record(desk.db, attempt.id, Unknown("no answer in time"), timedelta())
    return order, str(attempt.id)


async def resend(desk: Desk) -> int:
    """One turn, once the lease of the first send is over."""
    await desk.sql("UPDATE dispatch_attempts SET lease_until = now() - interval '1 second' WHERE resends = 0")
    await desk.upstreams.refresh()
    return await resend_unknown(desk.db, desk.upstreams, lease_s=60, first_check_s=1)


def adds(desk: Desk) -> list[dict[str, str]]:
    return [call for call in desk.panel.calls if call["action"] == "add"]


async def test_whether_an_upstream_honours_keys_is_learned_and_kept(desk: Desk) -> None:
    desk.panel.answers["balance"] = HONOURS
    await desk.upstreams.refresh()
    await learn_balances(desk.db, desk.upstreams)
    row = await desk.row("SELECT balance, honours_extension FROM providers")
    assert (row["balance"], row["honours_extension"]) == (3, True)


async def test_an_unknown_order_is_cleared_by_a_copy_under_the_same_key(desk: Desk) -> None:
    await desk.sql("UPDATE providers SET honours_extension = true")
    order, key = await unknown_order(desk)
    desk.panel.answers["add"] = {"order": 4711}
    assert await resend(desk) == 1
    after = await read_order(desk.db, order.number)
    assert (after.dispatch, after.external_order_id) == (Dispatch.ACCEPTED, "4711")
    [sent] = adds(desk)
    assert (sent["idempotency_key"], sent["quantity"], sent["link"]) == (key, "1000", order.link)
    assert await resend(desk) == 0
    await assert_ledger_is_clean(desk.db)


async def test_nothing_is_sent_again_where_the_key_was_not_honoured_at_the_first_send(desk: Desk) -> None:
    order, _ = await unknown_order(desk)
    await desk.sql("UPDATE providers SET honours_extension = true")
    assert await resend(desk) == 0
    await desk.sql("UPDATE dispatch_attempts SET replayable = true, started_at = now() - interval '24 hours'")
    assert await resend(desk) == 0, "the upstream may have forgotten the key"
    assert adds(desk) == []
    assert (await read_order(desk.db, order.number)).dispatch is Dispatch.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "status", "dispatch"),
    [
        ({"error": "Incorrect link"}, 200, Dispatch.UNKNOWN),
        ({"error": "Not enough funds on balance"}, 200, Dispatch.UNKNOWN),
        ({"error": "Invalid API key"}, 200, Dispatch.UNKNOWN),
        ({"error": "Too many requests"}, 429, Dispatch.UNKNOWN),
        ({"error": "Idempotency key was used with other fields"}, 200, Dispatch.UNKNOWN),
        ({"error": "Service temporarily unavailable", "placed": False}, 503, Dispatch.UNKNOWN),
        ("<html>", 502, Dispatch.UNKNOWN),
    ],
)
async def test_no_refusal_of_a_copy_is_evidence_about_the_first(
    desk: Desk, answer: Any, status: int, dispatch: Dispatch
) -> None:
    await desk.sql("UPDATE providers SET honours_extension = true")
    order, _ = await unknown_order(desk)
    desk.panel.answers["add"], desk.panel.status = answer, status
    assert await resend(desk) == 1
    assert (await read_order(desk.db, order.number)).dispatch is dispatch
    assert await resend(desk) == 0, "the next copy waits"
    await assert_ledger_is_clean(desk.db)


async def test_a_copy_waits_until_the_lease_of_the_send_is_over(desk: Desk) -> None:
    await desk.sql("UPDATE providers SET honours_extension = true")
    await unknown_order(desk)
    await desk.upstreams.refresh()
    assert await resend_unknown(desk.db, desk.upstreams, lease_s=60, first_check_s=1) == 0


@pytest.mark.parametrize("late", [Refused(Fault.ORDER, "Incorrect link"), NotSent("no connection")])
async def test_a_late_answer_of_the_first_is_no_evidence_once_a_copy_went_out(desk: Desk, late: AddOutcome) -> None:
    await desk.sql("UPDATE providers SET honours_extension = true")
    order, attempt = await unknown_order(desk)
    desk.panel.answers["add"], desk.panel.status = "<html>", 502
    assert await resend(desk) == 1
    await record(desk.db, UUID(attempt), late, timedelta())
    assert (await read_order(desk.db, order.number)).dispatch is Dispatch.UNKNOWN


async def test_under_another_key_nothing_is_sent_again(desk: Desk) -> None:
    await desk.sql("UPDATE providers SET honours_extension = true")
    await unknown_order(desk)
    async with desk.db.transaction() as tx:
        await set_api_key(tx, Keyring(SECRETS), desk.shop.provider_id, "the key of another account")
    await desk.sql("UPDATE providers SET honours_extension = true")
    assert await resend(desk) == 0
    assert adds(desk) == []
