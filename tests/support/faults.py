"""A panel that numbers the orders it takes, and rows that refuse to be written."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import web

from gateway.db.engine import Database
from gateway.keyring import Keyring
from gateway.orders.model import Order
from gateway.providers import actions

KEYRING = Keyring(("a secret that is long enough to be one",))
COMPLETED = {"charge": "1", "start_count": "0", "status": "Completed", "remains": "0", "currency": "USD"}
IN_PROGRESS = COMPLETED | {"status": "In progress", "remains": "10"}


class NumberingPanel:
    """Takes each order under an id of its own; one id it does not know makes it refuse the whole list."""

    def __init__(self) -> None:
        self.url = ""
        self.links: list[str] = []
        self.asked: list[list[str]] = []
        self.unknown: set[str] = set()
        self.unknown_words = "Incorrect order ID"
        self.report: dict[str, str] = COMPLETED
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        """Calls that wait for the gate, whatever they ask."""
        self._ids = count(1)

    async def handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        answer: dict[str, Any]
        if form["action"] == "add":
            self.links.append(form["link"])
            answer = {"order": next(self._ids)}
        else:
            ids = form["orders"].split(",")
            self.asked.append(ids)
            known = self.unknown.isdisjoint(ids)
            answer = dict.fromkeys(ids, self.report) if known else {"error": self.unknown_words}
        return web.json_response(answer, status=self.status)


@asynccontextmanager
async def open_numbering_panel() -> AsyncIterator[NumberingPanel]:
    panel = NumberingPanel()
    app = web.Application()
    app.router.add_post("/api/v2", panel.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    panel.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"
    try:
        yield panel
    finally:
        await runner.cleanup()


async def lead_to(db: Database, provider_id: UUID, panel: NumberingPanel) -> None:
    """The provider is this panel from now on; to be followed by `Upstreams.refresh`."""
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET api_endpoint = $2 WHERE id = $1", provider_id, panel.url)
        await actions.set_api_key(tx, KEYRING, provider_id, "a-key")


async def refuse_writes(owner: asyncpg.Connection, event: str, table: str, condition: str) -> None:
    """Any such write of a row for which the condition holds raises an error that nobody expects."""
    name = f"refuse_{table}"
    await owner.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''disk on fire'' USING ERRCODE = ''XX000''; END'"
    )
    await owner.execute(
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {name}()"
    )


async def eventually(holds: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def together(owner: asyncpg.Connection, order: Order, *acts: Callable[[], Awaitable[object]]) -> None:
    """Let them come to the order's row one after the other, then go on at once."""
    async with owner.transaction():
        await owner.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order.id)
        tasks: list[asyncio.Future[object]] = []
        for act in acts:
            tasks.append(asyncio.ensure_future(act()))
            await eventually(functools.partial(_wait, owner, len(tasks)))
    await asyncio.gather(*tasks)


async def _wait(owner: asyncpg.Connection, count: int) -> bool:
    return bool(await owner.fetchval("SELECT count(*) >= $1 FROM pg_locks WHERE NOT granted", count))
