"""Unknown orders beside runs that an upstream began, and at panels that take one id a call."""

from datetime import timedelta

import pytest

from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.unknowns.probing import probe_provider
from tests.support.aftercare import Desk, open_desk
from tests.support.factories import begin_attempt, place_order, read_order
from tests.support.families import accept, drip, place

RUN = {"charge": "1", "start_count": "0", "status": "Completed", "remains": "0", "currency": "USD"}


async def look_at_scripted(db: Database, desk: Desk) -> tuple[int, str]:
    """Probe for an unknown order that followed id 100; how many were found, and where the order stands then."""
    order = await place_order(db, desk.shop)
    await record(db, await begin_attempt(db, desk.shop, order), Unknown("no answer"), timedelta())
    await desk.sql("UPDATE providers SET probes = true")
    await desk.sql("UPDATE dispatch_attempts SET lease_until = now() - interval '1 s' WHERE state = 'unknown'")
    await desk.upstreams.refresh()
    found = await probe_provider(db, desk.upstreams, desk.shop.provider_id)
    await desk.assert_books_are_clean()
    return found, (await read_order(db, order.number)).dispatch.value


@pytest.mark.parametrize(("runs", "found"), [(["101"], 0), (["90"], 1)])
async def test_a_run_that_the_upstream_began_is_not_taken_for_an_order(
    db: Database, runs: list[str], found: int
) -> None:
    async with open_desk(db) as desk:
        parent = await place(db, desk.shop, drip(), native=True)
        await accept(db, desk.shop, parent, "50")
        await desk.sql("UPDATE order_checks SET next_check_at = now() WHERE order_id = $1", parent.id)
        await desk.accepted("100")
        desk.panel.answers["status"] = {"101": RUN, "50": RUN | {"charge": "3", "orders": runs}}
        assert await look_at_scripted(db, desk) == (found, "accepted" if found else "unknown")


async def test_a_followed_drip_feed_whose_runs_are_not_told_leaves_the_order_unknown(db: Database) -> None:
    async with open_desk(db) as desk:
        await accept(db, desk.shop, await place(db, desk.shop, drip(), native=True), "50")
        await desk.sql("UPDATE order_checks SET next_check_at = now()")
        await desk.accepted("100")
        desk.panel.answers["status"] = {"101": RUN}
        assert await look_at_scripted(db, desk) == (0, "unknown")


async def test_a_panel_of_one_id_a_call_is_asked_about_a_hundred_at_most(db: Database) -> None:
    async with open_desk(db) as desk:
        await desk.sql("UPDATE providers SET dialect = 'single'")
        await desk.accepted("100")
        desk.panel.answers["status"] = {"error": "Incorrect order ID"}
        assert await look_at_scripted(db, desk) == (0, "unknown")
        assert desk.panel.called("status") == 100
