"""Which processes are there: who sweeps for all, and who is missed."""

import asyncpg

from gateway.alerts.pulse import store as pulses
from gateway.db.engine import Database
from tests.support.alert_scenes import shop, someone_watches, swept
from tests.support.factories import Shop

__all__ = ["shop"]


async def test_the_oldest_worker_sweeps_for_all(db: Database, root: asyncpg.Connection) -> None:
    serving, first, second = pulses.pulse_of("serve"), pulses.pulse_of("work"), pulses.pulse_of("work")

    async def turns() -> list[bool]:
        async with db.connection() as connection:
            return [await pulses.has_turn(connection, pulse) for pulse in (serving, first, second)]

    async with db.transaction() as tx:
        for pulse in (second, serving, first):
            await pulses.beat(tx, pulse)
    assert await turns() == [False, True, False]
    await root.execute("UPDATE processes SET seen_at = now() - interval '31 seconds' WHERE id = $1", first.id)
    assert await turns() == [False, True, True]
    async with db.transaction() as tx:
        await pulses.leave(tx, second)
    assert (await turns())[0]


async def test_a_process_that_was_not_seen_for_a_day_is_forgotten(db: Database, root: asyncpg.Connection) -> None:
    old, new = pulses.pulse_of("work"), pulses.pulse_of("work")
    async with db.transaction() as tx:
        await pulses.beat(tx, old)
    await root.execute("UPDATE processes SET seen_at = now() - interval '25 hours'")
    async with db.transaction() as tx:
        await pulses.beat(tx, new)
    assert [row["id"] for row in await root.fetch("SELECT id FROM processes")] == [new.id]


async def test_the_last_worker_is_missed_however_long_ago_it_died(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    serving, silent = pulses.pulse_of("serve"), pulses.pulse_of("work")
    async with db.transaction() as tx:
        await pulses.beat(tx, silent)
    await root.execute("UPDATE processes SET seen_at = now() - interval '3 days'")
    await someone_watches(root)
    async with db.transaction() as tx:
        await pulses.beat(tx, serving)
    assert list(await swept(db)) == [("worker_silent", "worker")]


async def test_a_worker_is_not_missed_by_those_that_were_away_as_long(
    db: Database, root: asyncpg.Connection, shop: Shop
) -> None:
    """The database was gone: who comes back first must not take the others for dead."""
    serving, working = pulses.pulse_of("serve"), pulses.pulse_of("work")
    async with db.transaction() as tx:
        await pulses.beat(tx, serving)
        await pulses.beat(tx, working)
    await root.execute(
        "UPDATE processes SET started_at = now() - interval '1 hour', seen_at = now() - interval '25 minutes'"
    )
    await root.execute("UPDATE providers SET balance_at = now() - interval '25 minutes'")
    assert await swept(db) == {}
    async with db.transaction() as tx:
        await pulses.beat(tx, serving)
    assert await swept(db) == {}
    async with db.transaction() as tx:
        await pulses.beat(tx, working)
    assert await swept(db) == {}


async def test_a_pulse_without_a_break_keeps_its_beginning(db: Database, root: asyncpg.Connection) -> None:
    pulse = pulses.pulse_of("work")
    for gap_s, kept in ((29, True), (31, False)):
        async with db.transaction() as tx:
            await pulses.beat(tx, pulse)
        await root.execute(
            "UPDATE processes SET started_at = now() - interval '1 hour', seen_at = now() - make_interval(secs => $1)",
            float(gap_s),
        )
        async with db.transaction() as tx:
            await pulses.beat(tx, pulse)
        assert await root.fetchval("SELECT started_at < now() - interval '1 minute' FROM processes") is kept
