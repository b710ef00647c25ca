"""Who and what the measured requests are about: resellers with money, 5000 services, orders to ask for."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from compat.drafts import Draft
from compat.kinds import Kind
from gateway.accounts import store as accounts
from gateway.accounts.keys import issue_key
from gateway.accounts.model import Account
from gateway.accounts.tiers import set_tier
from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.catalog.model import Service
from gateway.catalog.store import list_services
from gateway.db.engine import Database
from gateway.keyring import Keyring
from gateway.ledger import booking
from gateway.orders.placement import Placement
from tests.support.factories import add_provider

FUNDS = Decimal(1_000_000)
QUANTITY = 100
KEYS_A_TRANSACTION = 100
TIERS = {"unlimited": 1_000_000, "exhausted": 1}
"""Requests a minute."""


class Size(msgspec.Struct, frozen=True):
    """How much of everything."""

    wallets: int = 1000
    services: int = 5000
    askers_of_many: int = 100
    orders_of_many: int = 100


class Reseller(msgspec.Struct, frozen=True):
    key: str
    account: Account
    orders: list[int] = []


class Stock(msgspec.Struct, frozen=True):
    """`service` is the one that is bought; `placed` counts the orders that are there already."""

    service: Service
    crowd: list[Reseller]
    hot: Reseller
    askers: list[Reseller]
    exhausted: list[Reseller]
    broke: list[Reseller]
    pgbench_crowd: list[Reseller]
    pgbench_hot: Reseller
    placed: int


async def add_stock(db: Database, keyring: Keyring, size: Size) -> Stock:
    async with db.transaction() as tx:
        for name, limit in TIERS.items():
            await set_tier(tx, name, limit)
    await _add_services(db, size.services)
    crowd = await _add_resellers(db, keyring, size.wallets)
    askers = await _add_resellers(db, keyring, size.askers_of_many)
    [hot, pgbench_hot] = await _add_resellers(db, keyring, 2)
    async with db.connection() as connection:
        [service, *_] = await list_services(connection)
    placed = await _place(db, service, crowd, 1) + await _place(db, service, askers, size.orders_of_many)
    return Stock(
        service=service,
        crowd=crowd,
        hot=hot,
        askers=askers,
        exhausted=await _add_resellers(db, keyring, size.askers_of_many, tier="exhausted"),
        broke=await _add_resellers(db, keyring, size.askers_of_many, funds=Decimal(0)),
        pgbench_crowd=await _add_resellers(db, keyring, size.wallets),
        pgbench_hot=pgbench_hot,
        placed=placed,
    )


async def _add_resellers(
    db: Database, keyring: Keyring, count: int, *, tier: str = "unlimited", funds: Decimal = FUNDS
) -> list[Reseller]:
    made: list[Reseller] = []
    while len(made) < count:
        async with db.transaction() as tx:
            keys = []
            for _ in range(min(KEYS_A_TRANSACTION, count - len(made))):
                email = f"{uuid7().hex}@example.com"
                user_id = await add_user(tx, email, "reseller", UNUSABLE_PASSWORD)
                _, key = await issue_key(tx, keyring, email, tier, "bench", "USD", None)
                wallet_id: UUID = await tx.fetchval("SELECT id FROM wallets WHERE user_id = $1", user_id)
                if funds:
                    await booking.deposit(tx, wallet_id, funds)
                keys.append(key)
            hashes = {keyring.hash_api_key(key)[1]: key for key in keys}
            found = await accounts.find_by_key_hashes(tx, list(hashes))
        made += [Reseller(hashes[key_hash], account) for key_hash, account in found.items()]
    return made


async def _add_services(db: Database, count: int) -> None:
    """Each on sale by one route to one provider, with words of the length that panels use."""
    provider_id = await add_provider(db)
    ids = [uuid7() for _ in range(count)]
    async with db.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO services (id, name, description, platform, type, category, kind, price_per_1000, currency,
              min_quantity, max_quantity, is_active, is_offered, refill)
            SELECT id, 'Instagram likes ' || n || ', fast, 30 days of refill', repeat('Starts within the hour. ', 5),
              'instagram', 'likes', 'Category ' || n % 50, $2, 0.9 + n / 10000.0, 'USD', 10, 100000, true, true, true
              FROM unnest($1::uuid[]) WITH ORDINALITY AS s(id, n)
            """,
            ids,
            Kind.DEFAULT.value,
        )
        await tx.execute(
            """
            INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000, is_source)
            SELECT uuid7(), id, $2, n::text, 0.5, true FROM unnest($1::uuid[]) WITH ORDINALITY AS s(id, n)
            """,
            ids,
            provider_id,
        )


async def _place(db: Database, service: Service, resellers: Sequence[Reseller], orders_each: int) -> int:
    """As many orders for each of them, whose numbers they know from then on; how many in all."""
    placement = Placement(db)

    async def place(reseller: Reseller, at: int) -> None:
        draft = Draft(f"https://example.com/p/{at}", QUANTITY, {})
        reseller.orders.append(await placement.place(reseller.account, service, draft))

    for at in range(orders_each):
        await asyncio.gather(*(place(reseller, at) for reseller in resellers))
    await placement.close()
    return len(resellers) * orders_each
