"""Placements whose answer is lost on its way, by one statement and by a transaction: each is told as it ended."""

import asyncio
import functools
from collections.abc import AsyncIterator

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.orders.placement import Placement
from gateway.orders.replays.model import Replay
from tests.support.checks import assert_each_order_is_held_once, count_orders
from tests.support.factories import Shop, add_shop, draft
from tests.support.faults import eventually
from tests.support.proxy import Break, Wire, wire_to


@pytest.fixture
async def shop(db: Database) -> Shop:
    """1000 pieces cost 2, and the account holds 100."""
    return await add_shop(db)


class Far:
    """A placement whose database is at the end of a wire that can break."""

    def __init__(self, wire: Wire, db: Database, *, keyed: bool) -> None:
        self.wire = wire
        self.db = db
        self._placement = Placement(db)
        self._keyed = keyed

    async def place(self, shop: Shop) -> int:
        replay = Replay(f"key:{uuid7()}", b"fields", 60) if self._keyed else None
        return await self._placement.place(shop.account, shop.service, draft(), replay)

    async def fail(self, shop: Shop) -> Unavailable:
        with pytest.raises(Unavailable) as failure:
            await self.place(shop)
        return failure.value


@pytest.fixture(params=["statement", "transaction"])
async def far(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Far]:
    """Where an order is placed by one statement, and where it takes a transaction."""
    async with wire_to(database_url) as (wire, url):
        db = await Database.open(url, size=4, application="far", acquire_timeout_s=5)
        keyed = request.param == "transaction"
        if not keyed:
            wire.word = b"https://example.com/v/"
        yield Far(wire, db, keyed=keyed)
        await db.close()


async def test_an_answer_lost_after_the_commit_is_looked_up_and_nothing_is_placed_twice(
    db: Database, shop: Shop, far: Far
) -> None:
    far.wire.broken = Break.AFTER_COMMIT
    numbers = await asyncio.gather(*(far.place(shop) for _ in range(3)), return_exceptions=True)
    assert far.wire.broken is Break.NEVER
    assert all(isinstance(number, int) for number in numbers)
    assert len(set(numbers)) == 3
    await assert_each_order_is_held_once(db, shop, 3)


async def test_a_commit_that_never_arrived_is_known_to_have_placed_nothing(db: Database, shop: Shop, far: Far) -> None:
    far.wire.broken = Break.BEFORE_COMMIT
    assert (await far.fail(shop)).placed is False
    await assert_each_order_is_held_once(db, shop, 0)
    assert isinstance(await far.place(shop), int)


async def test_what_cannot_be_looked_up_is_said_to_be_unknown_and_is_placed_once(
    db: Database, shop: Shop, far: Far
) -> None:
    far.wire.broken = Break.FOR_GOOD
    assert (await far.fail(shop)).placed is None
    await assert_each_order_is_held_once(db, shop, 1)
    assert (await far.fail(shop)).placed is False


@pytest.mark.parametrize("far", ["statement"], indirect=True)
async def test_what_the_server_may_hear_of_yet_is_not_said_to_have_placed_nothing(
    db: Database, shop: Shop, far: Far
) -> None:
    """A statement that stands for itself has locked nothing by which one could wait for it, before it arrives."""
    far.wire.broken = Break.ON_ITS_WAY
    assert (await far.fail(shop)).placed is None
    far.wire.arrive.set()
    await eventually(functools.partial(_is_placed, db))
    await assert_each_order_is_held_once(db, shop, 1)


async def _is_placed(db: Database) -> bool:
    return await count_orders(db) == 1


@pytest.mark.parametrize("far", ["statement"], indirect=True)
async def test_a_connection_lost_beside_the_statement_is_answered_as_it_ended(
    db: Database, shop: Shop, far: Far
) -> None:
    placed = 0
    for _ in range(10):
        async with far.db.connection() as one, far.db.connection() as other:  # so that it is looked up at once
            await asyncio.gather(one.execute("SELECT"), other.execute("SELECT"))
        far.wire.broken = Break.DURING_COMMIT
        (outcome,) = await asyncio.gather(far.place(shop), return_exceptions=True)
        placed += isinstance(outcome, int)
        assert isinstance(outcome, int) or getattr(outcome, "placed", None) is False, "the server's end is gone"
    await far.db.close()
    await eventually(functools.partial(_no_far_session_lives, db))
    assert await count_orders(db) == placed


async def _no_far_session_lives(db: Database) -> bool:
    async with db.connection() as connection:
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity "
            "WHERE application_name = 'far' AND datname = current_database())"
        )


async def test_a_server_that_ends_the_connection_in_the_commit_places_nothing(
    db: Database, shop: Shop, database_url: str
) -> None:
    placement = Placement(db)
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "CREATE FUNCTION end_connection() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
    )
    await owner.execute(
        "CREATE CONSTRAINT TRIGGER end_connection AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION end_connection()"
    )
    with pytest.raises(Unavailable) as failure:
        await placement.place(shop.account, shop.service, draft())
    assert failure.value.placed is False
    await owner.execute("DROP TRIGGER end_connection ON events")
    await owner.close()
    await assert_each_order_is_held_once(db, shop, 0)
    assert isinstance(await placement.place(shop.account, shop.service, draft()), int)
