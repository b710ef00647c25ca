"""A night without an operator: three panels behind one catalogue, each with a trouble of its own, and faults on.

One dies and comes back, one triples its prices and then empties its list, one is out of money until the
morning. `NIGHT_ORDERS` says how many orders come (at 50 a second).
"""

import asyncio
import functools
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compat.simulator import Simulator
from compat.simulator.faults import Faults
from compat.wire import Service
from gateway.catalog.editing import routes, services
from gateway.catalog.editing.model import ServiceEdit
from gateway.db.engine import Database
from gateway.providers.actions import add_provider
from tests.support.accounts import Client, add_reseller, assert_ledger_is_clean
from tests.support.processes import Installation, eventually, running_processes

ORDERS = int(os.environ.get("NIGHT_ORDERS", "500"))
A_SECOND = 50
KEY = "the-key-of-the-night"
SEED = 4
PURSE = Decimal(10**6)
POLICIES = ("priority", "cheapest", "weighted")
PANELS = {"North": "1.0", "South": "0.9", "West": "1.1"}
FAULTS = {
    "timeout-after": 0.005,
    "reset-after": 0.005,
    "http-502-after": 0.005,
    "timeout-before": 0.005,
    "refuse": 0.02,
    "too-many-requests": 0.01,
    "partial": 0.05,
    "cancel": 0.03,
    "status:http-500": 0.02,
    "balance:http-500": 0.05,
}
ENDED = ("completed", "partial", "cancelled", "failed", "refunded")

pytestmark = pytest.mark.timeout(240 + ORDERS // 10)


@dataclass
class Night:
    """The gateway under way, and the panels as they are now."""

    gateway: Installation
    db: Database
    folder: Path
    panels: dict[str, Simulator] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    placed: list[int] = field(default_factory=list)
    answered: int = 0
    share: float = 0.4
    """Of the orders; the rest come when the gateway has told of the troubles so far."""

    async def open(self, name: str) -> None:
        """The panel listens, with all that it accepted before."""
        panel = Simulator(
            seed=SEED,
            key=KEY,
            services=listed(name),
            accept_log=self.folder / name,
            faults=Faults(FAULTS, seed=len(name)),
            speed=4.0,
            balance=PURSE,
        )
        url = await panel.start(port=self.ports.get(name, 0))
        self.panels[name], self.ports[name] = panel, int(url.split(":")[2].split("/")[0])

    async def alerts(self) -> Counter[str]:
        """How often each kind was raised, those included that are over."""
        async with self.db.connection() as connection:
            return Counter(row["kind"] for row in await connection.fetch("SELECT kind FROM alerts"))

    async def has_alerted(self, kind: str) -> bool:
        return (await self.alerts())[kind] > 0

    async def rows(self, query: str) -> list[Any]:
        async with self.db.connection() as connection:
            return list(await connection.fetch(query))

    def accepted(self) -> Counter[str]:
        """How often each link was accepted, at all panels together."""
        lines = [line for name in PANELS for line in (self.folder / name).read_bytes().splitlines()]
        return Counter(msgspec.json.decode(line)["fields"]["link"] for line in lines)


def listed(name: str, times: int = 1) -> list[Service]:
    rate = Decimal(PANELS[name]) * times
    return [
        Service(
            service=number,
            name=f"Likes by {policy}",
            type="Default",
            category="Instagram",
            rate=rate,
            min=10,
            max=10_000,
            refill=False,
            cancel=True,
            dripfeed=False,
        )
        for number, policy in enumerate(POLICIES, 1)
    ]


async def set_up(night: Night) -> None:
    """North's catalogue is sold; the others are further routes of the same services."""
    for name in PANELS:
        await night.open(name)
        async with night.db.transaction() as tx:
            url = f"http://127.0.0.1:{night.ports[name]}/api/v2"
            await add_provider(tx, night.gateway.keyring, name, url, KEY, Decimal(50))
    await night.gateway.command("provider", "sync", "North")
    async with night.db.transaction() as tx:
        for number, policy in enumerate(POLICIES, 1):
            await services.set_service(tx, number, ServiceEdit(policy=policy))
            for name in ("South", "West"):
                await routes.add_route(
                    tx, number, name, str(number), cost=Decimal(PANELS[name]), weight=number, priority=-1
                )
    for name in ("South", "West"):
        await night.gateway.command("provider", "sync", name)


async def place_orders(night: Night, client: Client) -> None:
    """Fifty a second, as many as may come by now; each has a link of its own, and is answered."""
    choose = random.Random(SEED)

    async def place(service: int, quantity: int) -> None:
        link = f"https://example.com/{len(night.placed)}/{choose.random()}"
        answer = await client.get(action="add", service=service, link=link, quantity=quantity)
        night.answered += 1
        if "order" in answer:
            night.placed.append(answer["order"])
        else:
            assert answer == {"error": "Disabled service ID"}, answer

    async with asyncio.TaskGroup() as group:
        for number in range(ORDERS):
            await eventually(functools.partial(may_come, night, number), what="the gateway told", within_s=120)
            group.create_task(place(choose.randrange(1, 4), choose.randrange(10, 2000)))
            await asyncio.sleep(1 / A_SECOND)


async def may_come(night: Night, number: int) -> bool:
    return number < night.share * ORDERS


async def troubles(night: Night) -> None:
    """What goes wrong, one after the other: each begins when the gateway has told of the one before."""
    await share_answered(night, 0.15)
    await night.panels["North"].stop()
    await share_answered(night, 0.3)
    night.panels["South"].panel.relist(listed("South", times=3))
    await told(night, "quarantine")
    night.panels["South"].panel.relist([])
    night.share = 0.5
    await share_answered(night, 0.5)
    west = night.panels["West"].panel
    west.pay_in(-west.balance().balance)
    night.share = 0.8
    await told(night, "provider_funds")
    await told(night, "provider_down")
    night.share = 1.0


async def share_answered(night: Night, share: float) -> None:
    async def is_answered() -> bool:
        return night.answered >= share * ORDERS

    await eventually(is_answered, what=f"{share:.0%} of the orders", within_s=60 + ORDERS / A_SECOND * 3)


async def told(night: Night, kind: str) -> None:
    await eventually(lambda: night.has_alerted(kind), what=f"the alert {kind}", within_s=60)


async def morning(night: Night) -> None:
    """The operator wakes: North is back, South's list and prices are taken, West has money."""
    await night.open("North")
    night.panels["West"].panel.pay_in(PURSE)
    night.panels["South"].panel.relist(listed("South", times=3))
    await night.gateway.command("provider", "sync", "South")
    await night.gateway.command("route", "accept", "--provider", "South")


async def all_have_an_end(night: Night) -> bool:
    open_orders = await night.rows(
        f"SELECT number FROM orders WHERE status NOT IN {ENDED} AND dispatch <> 'unknown' LIMIT 1"
    )
    return not open_orders


async def until(condition: Callable[[Night], Awaitable[bool]], night: Night, what: str) -> None:
    try:
        await eventually(lambda: condition(night), what=what, within_s=120)
    except TimeoutError:
        left = await night.rows(
            "SELECT dispatch, status, upstream_status, provider_id, count(*) FROM orders "
            f"WHERE status NOT IN {ENDED} GROUP BY 1, 2, 3, 4"
        )
        raise AssertionError(f"{what}: {[tuple(row) for row in left]}, alerts {await night.alerts()}") from None


async def test_a_night_with_three_troubled_panels(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    settings = {
        "send_timeout_s": 2,
        "send_lease_s": 4,
        "poll_timeout_s": 2,
        "sync_interval_s": 1,
        "balance_interval_s": 10,
        "unknown_open_max": 100_000,
        "unknown_percent_max": 100,
        "check_interval_max_s": 2,
    }
    with running_processes(tmp_path) as processes:
        night = Night(Installation(processes, database_url, redis_url, extra=settings), db, tmp_path)
        await set_up(night)
        reseller = await add_reseller(db, night.gateway.keyring, "100000")
        api = night.gateway.serve()
        for _ in range(2):
            night.gateway.work()
        async with Client(api.url, reseller.key) as client:
            async with asyncio.TaskGroup() as group:
                group.create_task(place_orders(night, client))
                group.create_task(troubles(night))
            await morning(night)
            await until(all_have_an_end, night, "an end of every order")
        await assert_ledger_is_clean(db)
        await assert_the_books_of_the_night(night)
        for panel in night.panels.values():
            await panel.stop()


async def assert_the_books_of_the_night(night: Night) -> None:
    orders = {row["number"]: row for row in await night.rows("SELECT * FROM orders")}
    assert orders.keys() == set(night.placed), "an order is missing, or was never answered"
    assert len(orders) > ORDERS * 0.5, "hardly anything could be ordered"

    twice = {link for link, times in night.accepted().items() if times > 1}
    assert not twice, "sent twice"
    delivered = [row for row in orders.values() if row["status"] in ("completed", "partial")]
    assert len(delivered) > len(orders) * 0.5
    assert all(night.accepted()[row["link"]] == 1 for row in delivered)

    assert all(0 <= row["charge"] <= row["price"] for row in orders.values())
    for row in delivered:
        share = Decimal(row["quantity"] - row["remains"]) / row["quantity"]
        assert abs(row["charge"] - row["price"] * share) <= Decimal("0.00000001"), row["number"]
    assert all(row["charge"] == 0 for row in orders.values() if row["status"] in ("cancelled", "failed"))

    unknown = {row["number"] for row in orders.values() if row["dispatch"] == "unknown"}
    told_of = await night.rows("SELECT subject FROM alerts WHERE kind = 'unknown_order' AND cleared_at IS NULL")
    assert {int(row["subject"].removeprefix("order ")) for row in told_of} == unknown
    alerts = await night.alerts()
    assert {"quarantine", "provider_funds", "provider_down", "unknown_order"} <= alerts.keys()
