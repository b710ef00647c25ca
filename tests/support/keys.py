"""Users, keys and a directory that knows them, as the tests of accounts want them."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from gateway.accounts.directory import Directory
from gateway.accounts.keys import issue_key
from gateway.accounts.model import Role
from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.db.engine import Database
from gateway.errors import InvalidKey
from gateway.keyring import Keyring

EMAIL = "reseller@example.com"
OLD, NEW = "an old secret, long enough", "a new secret, long enough"
KEYRING = Keyring((NEW, OLD))
HEARD_WITHIN_S = 10.0
NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEARD_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def until_refused(directory: Directory, key: str) -> None:
    deadline = time.monotonic() + HEARD_WITHIN_S
    while not await refused(directory, key):
        assert time.monotonic() < deadline, "still let in"
        await asyncio.sleep(0.005)


async def until_let_in(directory: Directory, key: str) -> None:
    deadline = time.monotonic() + HEARD_WITHIN_S
    while await refused(directory, key):
        assert time.monotonic() < deadline, "still refused"
        await asyncio.sleep(0.005)


async def refused(directory: Directory, key: str) -> bool:
    try:
        await directory.get_account(key)
    except InvalidKey:
        return True
    return False


async def user(db: Database, email: str = EMAIL, role: Role = "reseller") -> UUID:
    async with db.transaction() as tx:
        return await add_user(tx, email, role, UNUSABLE_PASSWORD)


async def key(
    db: Database,
    email: str = EMAIL,
    *,
    keyring: Keyring = KEYRING,
    tier: str = "pro",
    currency: str = "USD",
    expires_at: datetime | None = None,
) -> tuple[UUID, str]:
    async with db.transaction() as tx:
        return await issue_key(tx, keyring, email, tier, "shop", currency, expires_at)


async def scalar(db: Database, sql: str, *values: object) -> object:
    async with db.connection() as connection:
        return await connection.fetchval(sql, *values)
