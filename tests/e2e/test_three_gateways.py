"""Three gateways in a row and a panel: every kind of order settles to the last digit at each, through faults.

What each order must have come to is computed from the panel's own truth (`tests/support/truth.py`).
`CHAOS_ROUNDS` says with how many seeds, `CHAOS_SEED` with which to begin.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compat.simulator import FAULTS, Simulator
from compat.simulator.faults import ANYWHERE, OF_STATUS, READS
from tests.support.accounts import Client, assert_ledger_is_clean
from tests.support.chain import Gateway, migrated_databases, open_chain
from tests.support.checks import assert_followed
from tests.support.operators import ask_about_the_ended, at_all, end_pauses, meanwhile, resolve_unknown
from tests.support.processes import eventually, running_processes
from tests.support.servers import ServerUrls
from tests.support.truth import differences

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
FIRST_SEED = int(os.environ.get("CHAOS_SEED", "7"))
RATE = 0.05
OF_ADD = tuple(name for name in FAULTS if name not in OF_STATUS)
SPEED = 10.0
"""Of the panel's clock: a run of a drip-feed comes six seconds after the one before."""
WITHIN_S = 180.0
STOPS_MAX = 5
KEY = "panel-key"
ENDED = ("Completed", "Partial", "Canceled", "Expired")

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
async def test_every_kind_of_order_settles_through_three_gateways(
    tmp_path: Path, database_url: str, redis_url: str, servers: ServerUrls, seed: int
) -> None:
    """Of an even seed the panel honours idempotency keys; of an odd one an operator looks lost orders up."""
    panel = Simulator(seed=seed, key=KEY, accept_log=tmp_path / "log", speed=SPEED, idempotency=seed % 2 == 0)
    with running_processes(tmp_path) as processes:
        async with (
            migrated_databases(servers.database_url, 2) as more,
            open_chain(processes, panel, KEY, [database_url, *more], redis_url) as (chain, wires),
        ):
            customer = Customer(chain[0], panel, random.Random(seed))
            await customer.order_a_partial()
            break_calls(panel, seed)
            for wire in wires:
                wire.rate = RATE
            async with meanwhile(lambda: at_all(chain, end_pauses), lambda: resolve_unknown(chain[-1], panel.panel)):
                await customer.order_everything()
                await settled(chain, panel)
                await stop_until_all_forwarded(chain, panel, customer)
            for gateway in chain:
                await assert_ledger_is_clean(gateway.db)
                await assert_followed(gateway.db)
                assert await open_alerts(gateway, "unknown_order") == 0
            assert await differences(chain, panel.panel) == []
            assert sum(wire.cuts for wire in wires) > 0
            await assert_each_kind_happened(chain, customer)


def break_calls(panel: Simulator, seed: int) -> None:
    """One call in twenty of each action goes wrong, by every fault that there is, and one order in twenty for each way
    to end otherwise. Some faults, others with each seed, come in any case."""
    faults = panel.faults
    for name in OF_ADD:
        faults.set(name, RATE / len(OF_ADD))
    for action in READS:
        for name in ANYWHERE:
            faults.set(f"{action}:{name}", RATE / len(ANYWHERE))
    for name in OF_STATUS:
        faults.set(name, RATE)
    for turn in range(4):
        faults.next(OF_ADD[(seed * 4 + turn) % len(OF_ADD)])
    for action in ("refill", "refill_status", "cancel"):
        faults.next(f"{action}:{ANYWHERE[seed % len(ANYWHERE)]}")
    for name in ("backwards-status", "refill-rejected", "negative-remains"):
        faults.next(name)


async def settled(chain: Sequence[Gateway], panel: Simulator) -> None:
    """Wait until every order of every gateway has come to what the panel made of it."""
    left: list[str] = ["nothing was compared"]

    async def is_as_it_must_be() -> bool:
        left[:] = await differences(chain, panel.panel)
        return not left

    try:
        async with meanwhile(lambda: at_all(chain, ask_about_the_ended)):
            await eventually(is_as_it_must_be, what="all as the panel made it", within_s=WITHIN_S)
    except* TimeoutError:
        raise AssertionError("\n".join(left)) from None


async def open_alerts(gateway: Gateway, kind: str) -> int:
    async with gateway.db.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM alerts WHERE kind = $1 AND cleared_at IS NULL", kind
        )
    return count


async def stop_until_all_forwarded(chain: Sequence[Gateway], panel: Simulator, customer: "Customer") -> None:
    """Some orders end by themselves before a cancel reaches the panel; at every hop one has to be in time."""
    for _ in range(STOPS_MAX):
        if all(["forwarded" in await wishes(gateway) for gateway in chain]):
            return
        await customer.stop_a_subscription()
        await settled(chain, panel)


async def wishes(gateway: Gateway) -> set[str]:
    async with gateway.db.connection() as connection:
        return {row["state"] for row in await connection.fetch("SELECT state FROM cancellations")}


async def assert_each_kind_happened(chain: Sequence[Gateway], customer: "Customer") -> None:
    """However the faults fell, none of what the test is about was left out at any gateway."""
    for gateway in chain:
        async with gateway.db.connection() as connection:
            ends = await connection.fetch(
                "SELECT p.mode, o.status FROM orders o JOIN order_parents p ON p.order_id = o.id WHERE o.charge > 0"
            )
            refills = await connection.fetch("SELECT state FROM refills")
            comments = await connection.fetch(
                "SELECT o.status FROM orders o JOIN services s ON s.id = o.service_id "
                "WHERE s.kind = 'Custom Comments' ORDER BY o.number LIMIT 1"
            )
        assert {"upstream", "subscription"} <= {row["mode"] for row in ends}
        assert "completed" in {row["state"] for row in refills}
        assert "forwarded" in await wishes(gateway)
        assert comments[0]["status"] in ("partial", "refunded")
    async with Client(chain[0].url, chain[0].buyer.key) as client:
        assert (await client.status(customer.numbers[0]))["status"] == "Partial"


class Customer:
    """Places orders of many kinds at the first gateway, and cancels and refills some of them."""

    def __init__(self, gateway: Gateway, panel: Simulator, choose: random.Random) -> None:
        self._gateway = gateway
        self._panel = panel
        self._choose = choose
        self._services: dict[str, dict[str, Any]] = {}
        self.numbers: list[int] = []

    def _open(self) -> Client:
        return Client(self._gateway.url, self._gateway.buyer.key)

    async def order_a_partial(self) -> None:
        """Comments of which half will be delivered; done when that is sure."""
        async with self._open() as client:
            for row in await client.services():
                self._services.setdefault(row["type"], row)
                if row["refill"]:
                    self._services.setdefault("refill", row)
                elif row["type"] == "Default":
                    self._services.setdefault("drip", row)
            self._panel.faults.next("partial")
            await self._comments(client)

            async def is_decided() -> bool:
                accepted = self._panel.panel.accepted
                return bool(accepted) and self._panel.panel.end(accepted[0].order) is not None

            await eventually(is_decided, what="the comments were asked about")

    async def order_everything(self) -> None:
        async with self._open() as client, asyncio.TaskGroup() as group:
            for story in (
                *(self._comments for _ in range(3)),
                *(self._plain for _ in range(8)),
                *(self._taken_back for _ in range(4)),
                *(self._refilled for _ in range(4)),
                *(self._drip for _ in range(3)),
                *(self._stopped_drip for _ in range(3)),
                *(self._subscription for _ in range(3)),
                self._stopped_subscription,
            ):
                group.create_task(story(client))

    async def _add(self, client: Client, service: dict[str, Any], **fields: object) -> int:
        target = {"username": f"user{len(self.numbers)}_{self._choose.random()}"}
        if service["type"] != "Subscriptions":
            target = {"link": f"https://example.com/{self._choose.random()}"}
        answer = await client.get(action="add", service=service["service"], **target, **fields)
        assert "order" in answer, answer
        self.numbers.append(answer["order"])
        return int(answer["order"])

    async def _ended(self, client: Client, number: int) -> str:
        async def status() -> str | None:
            word: str = (await client.status(number))["status"]
            return word if word in ENDED else None

        return await eventually(status, what=f"order {number} ended", within_s=WITHIN_S)

    async def _begun(self, client: Client, number: int) -> None:
        async def has_run_or_ended() -> bool:
            answer = await client.status(number)
            return bool(answer["orders"]) or answer["status"] in ENDED

        await eventually(has_run_or_ended, what=f"a run of {number}", within_s=WITHIN_S)

    def _quantity(self, service: dict[str, Any]) -> int:
        return int(service["min"]) + self._choose.randrange(1, 200)

    async def _comments(self, client: Client) -> None:
        lines = "\n".join(f"comment {n}" for n in range(self._choose.randrange(5, 12)))
        await self._add(client, self._services["Custom Comments"], comments=lines)

    async def _plain(self, client: Client) -> None:
        service = self._services[self._choose.choice(("Default", "refill", "drip", "Package"))]
        quantity = {} if service["type"] == "Package" else {"quantity": self._quantity(service)}
        await self._add(client, service, **quantity)

    async def _taken_back(self, client: Client) -> None:
        """Cancelled at some moment between its placing and its end."""
        service = self._services["drip"]
        number = await self._add(client, service, quantity=self._quantity(service))
        for _ in range(self._choose.randrange(20)):
            if (await client.status(number))["status"] == "In progress":
                break
        await client.get(action="cancel", orders=number)

    async def _refilled(self, client: Client) -> None:
        """One order after another, until one is refilled."""
        service = self._services["refill"]
        for _ in range(3):
            number = await self._add(client, service, quantity=self._quantity(service))
            if await self._ended(client, number) == "Completed" and await self._refill(client, number):
                return

    async def _refill(self, client: Client, number: int) -> bool:
        """Whether a completed order was refilled; it may have been taken back meanwhile, or the refill rejected."""

        async def asked() -> dict[str, Any] | None:
            answer: dict[str, Any] = await client.get(action="refill", order=number)
            return None if "24 hours ago" in str(answer.get("error")) else answer

        answer = await eventually(asked, what="an answer to a refill", within_s=10)
        if "refill" not in answer:
            return False

        async def end() -> str | None:
            status: str = (await client.get(action="refill_status", refill=answer["refill"]))["status"]
            return status if status in ("Completed", "Rejected") else None

        return await eventually(end, what=f"the refill of {number} ended", within_s=WITHIN_S) == "Completed"

    async def _drip(self, client: Client) -> int:
        service = self._services["drip"]
        runs = self._choose.randrange(2, 4)
        return await self._add(client, service, quantity=self._quantity(service), runs=runs, interval=1)

    async def _stopped_drip(self, client: Client) -> None:
        number = await self._drip(client)
        await self._begun(client, number)
        await client.get(action="cancel", orders=number)

    async def _subscription(self, client: Client, posts: int = 3) -> int:
        least = self._choose.randrange(10, 40)
        most = least + self._choose.randrange(50)
        service = self._services["Subscriptions"]
        return await self._add(client, service, min=least, max=most, posts=posts, delay=0)

    async def stop_a_subscription(self) -> None:
        async with self._open() as client:
            await self._stopped_subscription(client)

    async def _stopped_subscription(self, client: Client) -> None:
        number = await self._subscription(client, posts=400)
        await self._begun(client, number)
        await client.get(action="cancel", orders=number)
