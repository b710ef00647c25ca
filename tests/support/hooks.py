"""Receivers of webhooks, and what delivers to them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractResolver
from uuid_utils.compat import uuid7

from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.events import store as events
from gateway.events.payloads import OrderData
from gateway.events.store import Event
from gateway.keyring import Keyring
from gateway.webhooks import endpoints
from gateway.webhooks.calling import Caller
from gateway.webhooks.model import Endpoint
from gateway.webhooks.sending import Deliverer
from tests.support.panel import SECRET

KEYRING = Keyring((SECRET,))


@dataclass
class Receiver:
    """Keeps what it was sent, by object; answers by `answer`, given how often it was called."""

    url: str = ""
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[int], web.Response] = lambda count: web.Response(status=204)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((dict(request.headers), await request.read()))
        return self.answer(len(self.calls))

    def messages(self) -> list[Any]:
        return [msgspec.json.decode(body) for _, body in self.calls]

    def sequences(self) -> dict[str, list[int]]:
        """By object, the numbers of its events as they came."""
        seen = defaultdict(list)
        for message in self.messages():
            seen[message["object"]["id"]].append(message["sequence"])
        return seen


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def add_owner(db: Database) -> UUID:
    async with db.transaction() as tx:
        return await add_user(tx, f"{uuid7()}@example.com", "reseller", UNUSABLE_PASSWORD)


async def add_endpoint(db: Database, user_id: UUID, url: str, *wanted: str) -> tuple[Endpoint, str]:
    async with db.transaction() as tx:
        return await endpoints.create(
            tx, KEYRING, user_id, url=url, wanted=list(wanted or ("*",)), description=None, allow_private=True
        )


TOLD = OrderData(number=7, status="processing", price="0.9", charge="0.9", remains=10, currency="USD")


async def tell(db: Database, user_id: UUID, object_id: UUID, *types: str) -> None:
    """Write events of one object, in this order."""
    async with db.transaction() as tx:
        await events.insert(tx, [Event(each, user_id, "order", object_id, TOLD) for each in types])


@asynccontextmanager
async def delivering(
    db: Database, *, each: int = 32, delays_s: tuple[float, ...] = (0.0, 0.0), timeout_s: float = 2.0,
    allow_private: bool = True, resolver: AbstractResolver | None = None,
) -> AsyncIterator[Deliverer]:  # fmt: skip
    """A deliverer that runs while the block does."""
    import asyncio

    async with open_session(
        allow_private=allow_private, limit=1000, keepalive_s=15.0, decompress=False, resolver=resolver
    ) as session:
        deliverer = Deliverer(db, Caller(session, KEYRING, timeout_s), each=each, delays_s=delays_s)
        task = asyncio.create_task(deliverer.run())
        try:
            yield deliverer
        finally:
            await deliverer.stop(5.0)
            await task
