"""Who buys and who sells in a test: resellers with key and money, providers with their catalogue taken over."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp
import asyncpg

from gateway.accounts.keys import issue_key
from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.catalog.sync.syncing import SyncResult, sync_provider
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.ledger.booking import deposit
from gateway.ledger.verify import verify
from gateway.providers.actions import add_provider as insert_provider
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings


@dataclass(frozen=True)
class Reseller:
    """Money and a key to spend it with."""

    key: str
    key_id: UUID
    user_id: UUID
    wallet_id: UUID


async def add_reseller(
    db: Database,
    keyring: Keyring,
    amount: str,
    *,
    email: str = "reseller@example.com",
    tier: str = "enterprise",
    currency: str = "USD",
) -> Reseller:
    async with db.transaction() as tx:
        user_id = await add_user(tx, email, "reseller", UNUSABLE_PASSWORD)
        key_id, key = await issue_key(tx, keyring, email, tier, "test", currency, None)
        wallet_id: UUID = await tx.fetchval(
            "SELECT id FROM wallets WHERE user_id = $1 AND currency = $2", user_id, currency
        )
        if Decimal(amount):
            await deposit(tx, wallet_id, Decimal(amount))
    return Reseller(key, key_id, user_id, wallet_id)


async def add_provider(
    db: Database, settings: Settings, url: str, key: str, *, markup: str = "25", name: str = "upstream"
) -> SyncResult:
    """The provider with its whole catalogue on sale; it answers at `url` already."""
    keyring = Keyring(settings.secret_key)
    async with db.transaction() as tx:
        provider_id = await insert_provider(tx, keyring, name, url, key, Decimal(markup))
    session = open_session(allow_private=True, limit=10)
    try:
        upstreams = Upstreams(db, keyring, session, settings)
        await upstreams.refresh()
        return await sync_provider(db, upstreams, provider_id, dry_run=False, hold_new=False)
    finally:
        await session.close()


class Client:
    """A reseller's program: speaks to a panel over HTTP with its key."""

    def __init__(self, url: str, key: str, *, connections: int = 100) -> None:
        self._url, self._key = url, key
        self._connections = connections

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._connections)
        timeout = aiohttp.ClientTimeout(total=60)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, **fields: object) -> tuple[int, Any]:
        """HTTP status and JSON of one request."""
        form = {name: str(value) for name, value in fields.items()} | {"key": self._key}
        async with self._session.post(self._url, data=form) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, **fields: object) -> Any:
        """The JSON of a request that is answered with 200."""
        status, answer = await self.ask(**fields)
        assert status == 200, answer
        return answer

    async def services(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.get(action="services")
        return rows

    async def service(self, kind: str = "Default") -> dict[str, Any]:
        """The first service of that kind."""
        return next(row for row in await self.services() if row["type"] == kind)

    async def add(self, service: Mapping[str, Any], link: str, quantity: int) -> int:
        """The number of a new order."""
        answer = await self.get(action="add", service=service["service"], link=link, quantity=quantity)
        assert isinstance(answer.get("order"), int), answer
        number: int = answer["order"]
        return number

    async def status(self, number: int) -> dict[str, Any]:
        answer: dict[str, Any] = await self.get(action="status", order=number)
        assert "error" not in answer, answer
        return answer


async def assert_ledger_is_clean(db: Database) -> None:
    async with db.snapshot() as tx:
        assert list(await verify(tx)) == []


async def ledger_of_order(url: str, number: int) -> Counter[tuple[str, Decimal]]:
    """Type and amount of every ledger row that was booked for an order."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            """
            SELECT l.type, l.amount FROM ledger l JOIN orders o ON o.id = l.reference_id WHERE o.number = $1
            """,
            number,
        )
    finally:
        await connection.close()
    return Counter((row["type"], row["amount"]) for row in rows)
