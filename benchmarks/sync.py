"""How long the sync of 10 000 services takes, beside the mere reading of the list (issue: seconds, 3 is the goal)."""

import time
from decimal import Decimal
from typing import Any

from benchmarks.measure import Table, fresh_database
from gateway.catalog.sync.syncing import sync_provider
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.providers.actions import add_provider
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.integration.scripted_panel import open_panel
from tests.support.servers import ServerUrls

SERVICES = 10_000
ROUNDS = 5
KEYRING = Keyring(("a secret of the benchmarks, long enough",))


async def measure(urls: ServerUrls) -> Table:
    reading: list[float] = []
    taken: dict[str, list[float]] = {"all new": [], "no change": [], "all prices changed": []}
    for _ in range(ROUNDS):
        async with (
            fresh_database(urls.database_url) as url,
            open_panel() as panel,
            open_session(allow_private=True, limit=4) as session,
        ):
            db = await Database.open(url)
            upstreams = Upstreams(db, KEYRING, session, Settings())
            async with db.transaction() as tx:
                provider_id = await add_provider(tx, KEYRING, "North", panel.url, "k", Decimal(25))
            await upstreams.refresh()
            for what, times in (("all new", "1"), ("no change", "1"), ("all prices changed", "1.05")):
                panel.answers["services"] = listed(Decimal(times))
                started = time.perf_counter()
                await upstreams.services(provider_id)
                reading.append(time.perf_counter() - started)
                started = time.perf_counter()
                result = await sync_provider(db, upstreams, provider_id)
                taken[what].append(time.perf_counter() - started)
                assert (result.new + result.changed) == (0 if what == "no change" else SERVICES), result
            await db.close()
    rows = [("reading the list alone", reading, "s"), *((f"sync, {what}", times, "s") for what, times in taken.items())]
    return Table([*rows], [f"{SERVICES} services, each sync with the reading of the list in it."])


def listed(times: Decimal) -> list[dict[str, Any]]:
    return [
        {
            "service": number,
            "name": f"Instagram likes {number}, fast, 30 days of refill",
            "type": "Default",
            "category": f"Category {number % 50}",
            "rate": str((Decimal("0.9") + Decimal(number) / 10_000) * times),
            "min": "10",
            "max": "100000",
            "refill": True,
            "desc": "Starts within the hour. " * 5,
        }
        for number in range(1, SERVICES + 1)
    ]
