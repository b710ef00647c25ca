"""Whatever happens to orders, side by side: what an upstream took is asked about there, and nothing else is."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from compat.errors import Fault
from compat.kinds import Kind
from compat.status import UpstreamStatus
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown
from gateway.catalog.model import Route
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.cancels import CancelWanted
from gateway.dispatch.model import Attempt
from gateway.dispatch.resolve import NotPlaced, PlacedAs, Refund, resolve
from gateway.dispatch.taken.recording import Recorder
from gateway.dispatch.upkeep import expire_leases, fail_queued, give_up_unknown
from gateway.errors import Conflict
from gateway.orders.model import Order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import RefundGiven, Reported, Trigger
from gateway.tracking.store import claim_due
from tests.support.accounts import assert_ledger_is_clean
from tests.support.checks import assert_followed
from tests.support.factories import Shop, add_provider, add_route, add_shop, place_order, read_order

ORDERS, ACTORS, STEPS = 12, 6, 60
WAIT = timedelta(seconds=5)
WORDS = (
    UpstreamStatus.IN_PROGRESS,
    UpstreamStatus.COMPLETED,
    UpstreamStatus.PARTIAL,
    UpstreamStatus.CANCELED,
    UpstreamStatus.REFUNDED,
)


class Actor:
    """Dispatcher, poller, customer, operator and time in one, each acting on some order at random."""

    def __init__(self, db: Database, routes: dict[UUID, Route], orders: list[Order], seed: int) -> None:
        self._db = db
        self._routes = routes
        self._orders = orders
        self._choose = random.Random(seed)
        self._recorder = Recorder(db, WAIT)

    async def act(self, attempts: list[UUID]) -> None:
        order = await read_order(self._db, self._choose.choice(self._orders).number)
        deeds: list[Callable[[Order, list[UUID]], Awaitable[None]]] = [
            *(self._plan, self._begin, self._answer, self._answer, self._report, self._report),
            *(self._decide, self._cancel_or_refund, self._poll, self._time),
        ]
        try:
            await self._choose.choice(deeds)(order, attempts)
        except Conflict:
            return  # it moved on meanwhile, which the product says as well

    async def _plan(self, order: Order, _: list[UUID]) -> None:
        async with self._db.transaction() as tx:
            await store.plan(tx, order.id, self._choose.choice(list(self._routes)), timedelta())

    async def _begin(self, order: Order, attempts: list[UUID]) -> None:
        """As a claim does, whose orders are locked."""
        async with self._db.transaction() as tx:
            claims = await store.claim_queued(tx, dict.fromkeys(self._routes, 2))
            begun = [Attempt(uuid7(), each, Kind.DEFAULT, self._routes[_at(each)]) for each, _ in claims]
            if begun:
                attempts += await store.insert_attempts(tx, begun, timedelta(seconds=self._choose.choice((0, 60))))

    async def _answer(self, order: Order, attempts: list[UUID]) -> None:
        if not attempts:
            return
        outcomes: list[AddOutcome] = [
            Accepted(f"{self._choose.randrange(10**9)}"),
            Accepted(f"{self._choose.randrange(10)}"),
            Refused(Fault.ORDER, "Incorrect link"),
            Refused(Fault.PASSING, "Too many requests"),
            NotSent("no route to host"),
            Unknown("the connection was reset"),
        ]
        chosen = self._choose.choices(outcomes, (6, 2, 1, 1, 1, 2))[0]
        await self._recorder.record(self._choose.choice(attempts[-12:]), chosen)

    async def _report(self, order: Order, _: list[UUID]) -> None:
        word = self._choose.choice(WORDS)
        remains = self._choose.randrange(1, 1000) if word is UpstreamStatus.PARTIAL else None
        await self._settle(order, Reported(word.value, word, remains=remains))

    async def _decide(self, order: Order, _: list[UUID]) -> None:
        decision = self._choose.choice((PlacedAs(f"o{self._choose.randrange(20)}"), NotPlaced(), Refund()))
        await resolve(self._db, order.number, decision, "test")

    async def _cancel_or_refund(self, order: Order, _: list[UUID]) -> None:
        given = RefundGiven(Decimal("0.01"), f"{self._choose.random()}")
        await self._settle(order, self._choose.choice((CancelWanted(), given)))

    async def _settle(self, order: Order, trigger: Trigger) -> None:
        async with self._db.transaction() as tx:
            await settle(tx, [Change(order.id, trigger)])

    async def _poll(self, order: Order, _: list[UUID]) -> None:
        async with self._db.transaction() as tx:
            await tx.execute("UPDATE order_checks SET next_check_at = now() WHERE order_id = $1", order.id)
        async with self._db.transaction() as tx:
            await claim_due(tx, self._choose.choice(list(self._routes)), WAIT, 100 * WAIT)

    async def _time(self, order: Order, _: list[UUID]) -> None:
        """Leases run out; now and then an order has been queued, or unknown, for too long."""
        await expire_leases(self._db)
        if self._choose.random() < 0.1:
            await self._choose.choice((fail_queued, give_up_unknown))(self._db, 0.0)


def _at(order: Order) -> UUID:
    assert order.provider_id is not None
    return order.provider_id


async def two_routes(db: Database, shop: Shop) -> dict[UUID, Route]:
    other = await add_provider(db)
    return {shop.provider_id: shop.route, other: await add_route(db, shop.service.id, other)}


@pytest.mark.parametrize("seed", range(3))
async def test_what_an_upstream_took_is_asked_about_there_and_nothing_else(db: Database, seed: int) -> None:
    shop = await add_shop(db)
    routes = await two_routes(db, shop)
    orders = [await place_order(db, shop) for _ in range(ORDERS)]
    attempts: list[UUID] = []

    async def go(actor: Actor) -> None:
        for _ in range(STEPS):
            await actor.act(attempts)

    await asyncio.gather(*(go(Actor(db, routes, orders, seed * ACTORS + each)) for each in range(ACTORS)))
    await assert_followed(db)
    await assert_ledger_is_clean(db)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM order_checks") > 0
