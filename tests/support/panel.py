"""A reseller's client of the panel API, and what it needs in the database."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec

from gateway.accounts.keys import issue_key
from gateway.accounts.model import Role
from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.db.engine import Database
from gateway.keyring import Keyring
from gateway.ledger import booking
from gateway.ledger import store as ledger
from gateway.settings import Settings

SECRET = "0123456789abcdef0123456789abcdef"
PROXY = "127.0.0.1"


def settings_for(database_url: str, redis_url: str, **changes: Any) -> Settings:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_key=(SECRET,),
        rate_wrong_keys=1000,
        rate_basic=5,
        trusted_proxies=PROXY,
    )
    return msgspec.structs.replace(settings, **changes)


class Panel:
    """A reseller's client."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self.http = http
        self.url = url
        self.key = key

    async def __call__(self, action: str, **fields: object) -> Any:
        data = {"key": self.key, "action": action, **{name: str(value) for name, value in fields.items()}}
        async with self.http.post(f"{self.url}/api/v2", data=data) as reply:
            assert reply.headers["Content-Type"] == "application/json"
            return await reply.json()


async def issue(db: Database, tier: str = "enterprise", deposit: str = "100", role: Role = "reseller") -> str:
    async with db.transaction() as tx:
        user_id = await add_user(tx, f"{uuid4().hex}@example.com", role, UNUSABLE_PASSWORD)
        email = await tx.fetchval("SELECT email FROM users WHERE id = $1", user_id)
        _, key = await issue_key(tx, Keyring((SECRET,)), email, tier, "shop", "USD", None)
        wallet_id = await ledger.open_wallet(tx, user_id, "USD")
        await booking.deposit(tx, wallet_id, Decimal(deposit))
    return key


async def sell(db: Database, number: int, kind: str = "Default", currency: str = "USD", active: bool = True) -> None:
    async with db.transaction() as tx:
        provider_id = await tx.fetchval(
            "INSERT INTO providers (id, name, api_endpoint, api_key_encrypted)"
            " VALUES ($1, $2, 'https://upstream.example/api/v2', 'sealed') RETURNING id",
            uuid4(),
            f"upstream {number}",
        )
        service_id = await tx.fetchval(
            "INSERT INTO services (id, number, name, platform, type, category, kind, price_per_1000, currency,"
            " min_quantity, max_quantity, is_active, refill)"
            " VALUES ($1, $2, 'Followers', 'instagram', 'followers', 'First', $3, 0.9, $4, 50, 10000, $5, true)"
            " RETURNING id",
            uuid4(),
            number,
            kind,
            currency,
            active,
        )
        await tx.execute(
            "INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000)"
            " VALUES ($1, $2, $3, '7', 0.5)",
            uuid4(),
            service_id,
            provider_id,
        )
