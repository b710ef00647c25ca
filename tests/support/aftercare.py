"""Orders of a shop whose upstream is scripted, to be cancelled and refilled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.cancels import act_on_cancels
from gateway.dispatch.outcomes import record
from gateway.dispatch.refills import send_refills
from gateway.egress import open_session
from gateway.errors import GatewayError
from gateway.keyring import Keyring
from gateway.ledger.verify import verify
from gateway.orders.cancels.wishing import cancel_orders
from gateway.orders.model import Order, Status
from gateway.orders.reading import OrderReader
from gateway.orders.refills.asking import ask_for_refills
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from gateway.tracking.refills import follow_refills
from tests.integration.scripted_panel import ScriptedPanel, open_panel
from tests.support.factories import Shop, add_shop, begin_attempt, place_order, read_order

SECRETS = ("a secret of more than thirty-two characters",)
DAY_S = 86_400


@dataclass(frozen=True)
class Desk:
    """What a customer and a worker do after an order was placed."""

    db: Database
    shop: Shop
    panel: ScriptedPanel
    upstreams: Upstreams
    reader: OrderReader

    async def cancel(self, *orders: Order, user_id: UUID | None = None) -> list[GatewayError | None]:
        """The answers, without those that were left out."""
        numbers = [order.number for order in orders]
        answers = await cancel_orders(self.db, self.reader, user_id or self.shop.account.user_id, numbers)
        return [answers[number] for number in numbers if number in answers]

    async def refill(self, order: Order, *, user_id: UUID | None = None) -> int | GatewayError | None:
        """The answer; None where it was left out."""
        user = user_id or self.shop.account.user_id
        return (await ask_for_refills(self.db, self.reader, user, [order.number], DAY_S)).get(order.number)

    async def act(self) -> int:
        """One turn over the wishes to cancel, all of them due."""
        await self.sql("UPDATE cancellations SET next_try_at = now() WHERE state = 'wanted'")
        return await act_on_cancels(self.db, self.upstreams)

    async def send(self) -> int:
        await self.sql("UPDATE refills SET next_try_at = now() WHERE state = 'requested'")
        return await send_refills(self.db, self.upstreams, 0.001)

    async def follow(self) -> int:
        await self.sql("UPDATE refills SET next_try_at = now() WHERE state = 'accepted'")
        return await follow_refills(self.db, self.upstreams, 5, 900)

    async def sql(self, query: str, *arguments: object) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(query, *arguments)

    async def row(self, query: str, *arguments: object) -> dict[str, Any]:
        async with self.db.connection() as connection:
            row = await connection.fetchrow(query, *arguments)
        return dict(row) if row else {}

    async def wish(self, order: Order) -> tuple[str, str | None, int] | None:
        """State, reason and tries."""
        row = await self.row("SELECT state, reason, tries FROM cancellations WHERE order_id = $1", order.id)
        return (row["state"], row["reason"], row["tries"]) if row else None

    async def refill_row(self, number: int) -> tuple[str, str | None, str | None]:
        """State, the upstream's id and word."""
        row = await self.row("SELECT state, upstream_id, upstream_status FROM refills WHERE number = $1", number)
        return row["state"], row["upstream_id"], row["upstream_status"]

    async def accepted(self, upstream_id: str = "77") -> Order:
        order = await place_order(self.db, self.shop)
        await record(self.db, await begin_attempt(self.db, self.shop, order), Accepted(upstream_id), timedelta())
        return await read_order(self.db, order.number)

    async def report(self, order: Order, word: Reported) -> None:
        async with self.db.transaction() as tx:
            await settle(tx, [Change(order.id, word)])

    async def ended(self, word: Reported, upstream_id: str = "77", *, ago_s: int = 2 * DAY_S) -> Order:
        """An order of which the upstream reported the end that long ago."""
        order = await self.accepted(upstream_id)
        await self.report(order, word)
        await self.sql("UPDATE orders SET completed_at = now() - $2 * interval '1 s' WHERE id = $1", order.id, ago_s)
        return await read_order(self.db, order.number)

    async def status(self, order: Order) -> Status:
        return (await read_order(self.db, order.number)).status

    async def history(self, order: Order) -> list[str]:
        """Kinds of the order's lines about cancel and refill."""
        async with self.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT kind FROM order_events WHERE order_id = $1 AND kind ~ '^(Cancel|Refill)' ORDER BY id", order.id
            )
        return [row["kind"] for row in rows]

    async def assert_books_are_clean(self) -> None:
        async with self.db.snapshot() as tx:
            assert list(await verify(tx)) == []


@asynccontextmanager
async def open_desk(db: Database) -> AsyncIterator[Desk]:
    async with open_panel() as panel, open_session(allow_private=True, limit=10) as session:
        upstreams = Upstreams(db, Keyring(SECRETS), session, Settings(secret_key=SECRETS, poll_timeout_s=2))
        shop = await add_shop(db, funds="1000")
        desk = Desk(db, shop, panel, upstreams, OrderReader(db))
        await desk.sql("UPDATE services SET refill = true, cancel = true")
        await lead_to(desk, shop.provider_id, panel)
        yield desk


async def lead_to(desk: Desk, provider_id: UUID, panel: ScriptedPanel) -> None:
    """The provider's calls go to the panel."""
    await desk.sql("UPDATE providers SET api_endpoint = $2 WHERE id = $1", provider_id, panel.url)
    async with desk.db.transaction() as tx:
        await actions.set_api_key(tx, Keyring(SECRETS), provider_id, "a-key")
    await desk.upstreams.refresh()


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    """With books that are clean in the end, whatever the test did."""
    async with open_desk(db) as desk:
        yield desk
        await desk.assert_books_are_clean()
