"""Rows to test with: each function makes one thing, with defaults for all that a test does not care about."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID

from uuid_utils.compat import uuid7

from compat.drafts import Draft
from compat.kinds import Kind
from gateway.accounts import store as accounts
from gateway.accounts.model import Account
from gateway.accounts.terms import store as terms
from gateway.accounts.terms.model import Terms
from gateway.accounts.users import UNUSABLE_PASSWORD
from gateway.catalog.model import Route, Service
from gateway.db.engine import Database
from gateway.dispatch import store as dispatch
from gateway.dispatch.model import Attempt
from gateway.ledger import booking
from gateway.ledger import store as ledger
from gateway.ledger.model import Wallet
from gateway.orders import store as orders
from gateway.orders.model import Order
from gateway.orders.placement import Placement

_number = count(1)


async def add_user(db: Database, *, email: str | None = None, role: str = "reseller") -> UUID:
    user_id = uuid7()
    async with db.transaction() as tx:
        await accounts.insert_user(tx, user_id, email or f"user{next(_number)}@example.com", UNUSABLE_PASSWORD, role)
    return user_id


async def add_account(
    db: Database,
    *,
    funds: Decimal | str = "100",
    currency: str = "USD",
    tier: str = "basic",
    user_id: UUID | None = None,
    cap: Decimal | None = None,
) -> Account:
    """A user's key with a wallet that holds `funds`."""
    owner = user_id or await add_user(db)
    key_id, number = uuid7(), next(_number)
    async with db.transaction() as tx:
        wallet_id = await ledger.open_wallet(tx, owner, currency)
        await terms.insert_key(
            tx,
            key_id=key_id,
            user_id=owner,
            key_hash=f"hash-{number}",
            secret_id="0" * 16,
            currency=currency,
            terms=Terms(name=f"key {number}", tier=tier, daily_spend_cap=cap),
        )
        if Decimal(funds) > 0:
            await booking.deposit(tx, wallet_id, Decimal(funds))
    return Account(key_id, owner, wallet_id, currency, tier, None, None, f"key {number}", daily_spend_cap=cap)


async def add_provider(
    db: Database,
    *,
    name: str | None = None,
    url: str = "http://127.0.0.1:1/api/v2",
    sealed_key: str = "v1.none",
    priority: int = 0,
    is_active: bool = True,
) -> UUID:
    provider_id = uuid7()
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO providers (id, name, api_endpoint, api_key_encrypted, priority, is_active) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            provider_id,
            name or f"provider {next(_number)}",
            url,
            sealed_key,
            priority,
            is_active,
        )
    return provider_id


async def add_service(
    db: Database,
    *,
    rate: Decimal | str = "2",
    currency: str = "USD",
    kind: Kind = Kind.DEFAULT,
    min_quantity: int = 10,
    max_quantity: int = 100_000,
    is_active: bool = True,
    provider_id: UUID | None = None,
    cost: Decimal | str = "1",
) -> Service:
    """A service; with `provider_id` it has one route there."""
    service_id = uuid7()
    async with db.transaction() as tx:
        number: int = await tx.fetchval(
            "INSERT INTO services (id, name, platform, type, category, kind, price_per_1000, currency, min_quantity, "
            "max_quantity, is_active, is_offered) "
            "VALUES ($1, 'Views', 'youtube', 'views', 'Views', $2, $3, $4, $5, $6, $7, $7) "
            "RETURNING number",
            service_id,
            kind.value,
            Decimal(rate),
            currency,
            min_quantity,
            max_quantity,
            is_active,
        )
    if provider_id is not None:
        await add_route(db, service_id, provider_id, cost=cost)
    return Service(
        id=service_id,
        number=number,
        name="Views",
        description=None,
        category="Views",
        platform="youtube",
        type="views",
        kind=kind,
        kind_name=kind.value,
        rate=Decimal(rate),
        currency=currency,
        min_quantity=min_quantity,
        max_quantity=max_quantity,
        refill=False,
        cancel=False,
        dripfeed=False,
        is_active=is_active,
        provider_id=provider_id,
    )


async def add_route(
    db: Database,
    service_id: UUID,
    provider_id: UUID,
    *,
    provider_service_id: str = "1",
    cost: Decimal | str = "1",
    priority: int = 0,
) -> Route:
    route_id = uuid7()
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000, priority, "
            "is_source, dripfeed) VALUES ($1, $2, $3, $4, $5, $6, "
            "NOT EXISTS (SELECT FROM service_routes WHERE service_id = $2), "
            "(SELECT dripfeed FROM services WHERE id = $2))",
            route_id,
            service_id,
            provider_id,
            provider_service_id,
            Decimal(cost),
            priority,
        )
    return Route(
        id=route_id,
        service_id=service_id,
        provider_id=provider_id,
        provider_name="",
        provider_service_id=provider_service_id,
        cost_per_1000=Decimal(cost),
        priority=priority,
        weight=1,
    )


def draft(
    *, link: str = "https://example.com/v/1", quantity: int = 1000, details: dict[str, str] | None = None
) -> Draft:
    return Draft(link, quantity, details or {})


@dataclass(frozen=True)
class Shop:
    """One reseller with money, and one service bought from one provider by one route."""

    account: Account
    service: Service
    provider_id: UUID
    route: Route


async def add_shop(db: Database, *, funds: Decimal | str = "100", rate: Decimal | str = "2") -> Shop:
    provider_id = await add_provider(db)
    service = await add_service(db, rate=rate, provider_id=None)
    route = await add_route(db, service.id, provider_id)
    account = await add_account(db, funds=funds)
    known = Service(
        **{name: getattr(service, name) for name in service.__struct_fields__} | {"provider_id": provider_id}
    )
    return Shop(account, known, provider_id, route)


async def place_order(db: Database, shop: Shop, *, quantity: int = 1000) -> Order:
    """A queued order, its price held."""
    placement = Placement(db)
    number = await placement.place(shop.account, shop.service, draft(quantity=quantity))
    await placement.close()
    return await read_order(db, number)


async def begin_attempt(db: Database, shop: Shop, order: Order, *, lease_s: float = 60) -> UUID:
    """The order as a dispatcher has it between its commit and the answer: `sending`."""
    attempt = Attempt(uuid7(), order, Kind.DEFAULT, shop.route)
    async with db.transaction() as tx:
        written = await dispatch.insert_attempts(tx, [attempt], timedelta(seconds=lease_s))
    assert written == {attempt.id}
    return attempt.id


async def read_order(db: Database, number: int) -> Order:
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM orders WHERE number = $1", number)
    assert row is not None
    return orders.to_order(row)


async def read_wallet(db: Database, wallet_id: UUID) -> Wallet:
    async with db.connection() as connection:
        wallet = await ledger.find(connection, wallet_id)
    assert wallet is not None
    return wallet


async def ledger_rows(db: Database, order_id: UUID) -> list[tuple[str, Decimal]]:
    """`(type, amount)` of the order's rows in the order they were booked."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT type, amount FROM ledger WHERE reference_id = $1 ORDER BY wallet_seq", order_id
        )
    return [(row["type"], row["amount"]) for row in rows]


async def event_types(db: Database, order_id: UUID) -> list[str]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT type FROM events WHERE object_id = $1 ORDER BY id", order_id)
    return [row["type"] for row in rows]


async def open_alerts(db: Database) -> list[str]:
    """Kinds of the alerts that are not cleared."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT kind FROM alerts WHERE cleared_at IS NULL ORDER BY kind")
    return [row["kind"] for row in rows]
