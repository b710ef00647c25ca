"""What the demo's database is given once: users, a key, money, a provider and its catalogue."""

from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.demo_state import ADMIN_EMAIL, RESELLER_EMAIL, DemoState, Example, save_state
from gateway.cli.surroundings import keyring_of, open_database
from gateway.errors import Conflict

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.settings import Settings

PROVIDER = "demo"
MARKUP_PERCENT = Decimal(25)
MONEY = Decimal(100)
KEY_NAME = "demo"
_EXAMPLE_QUANTITY = 100


async def stock(settings: "Settings", data_dir: Path, state: DemoState) -> Example:
    """Put in what is missing, and say what can be ordered. The simulated upstream must answer.

    Killed in between it goes on where it was: users, key and money come in one transaction.
    """
    async with open_database(settings) as db:
        if not state.api_key or not await _has_users(db):
            await _add_users(db, settings, data_dir, state)
        await _add_catalogue(db, settings, state)
        state.example = await _choose_example(db)
    save_state(data_dir, state)
    return state.example


async def _has_users(db: "Database") -> bool:
    from gateway.accounts.store import find_user_id

    async with db.connection() as connection:
        return await find_user_id(connection, RESELLER_EMAIL) is not None


async def _add_users(db: "Database", settings: "Settings", data_dir: Path, state: DemoState) -> None:
    from gateway.accounts.keys import issue_key
    from gateway.accounts.users import add_user, hash_password
    from gateway.ledger import booking, store

    admin_hash = await hash_password(state.admin_password)
    reseller_hash = await hash_password(state.reseller_password)
    keyring, currency = keyring_of(settings), settings.currency
    async with db.transaction() as tx:
        await add_user(tx, ADMIN_EMAIL, "admin", admin_hash)
        reseller_id = await add_user(tx, RESELLER_EMAIL, "reseller", reseller_hash)
        _, state.api_key = await issue_key(tx, keyring, RESELLER_EMAIL, "enterprise", KEY_NAME, currency, None)
        wallet_id = await store.open_wallet(tx, reseller_id, currency)
        await booking.deposit(tx, wallet_id, MONEY, reference="demo")
        save_state(data_dir, state)


async def _add_catalogue(db: "Database", settings: "Settings", state: DemoState) -> None:
    from gateway.cli.provider import sync_by_name
    from gateway.providers.actions import add_provider

    with suppress(Conflict):
        async with db.transaction() as tx:
            await add_provider(
                tx,
                keyring_of(settings),
                PROVIDER,
                state.upstream_url,
                state.upstream_key,
                MARKUP_PERCENT,
                currency=settings.currency,
            )
    await sync_by_name(db, settings, PROVIDER)


async def _choose_example(db: "Database") -> Example:
    from compat.kinds import Kind
    from gateway.catalog.store import list_services

    async with db.connection() as connection:
        services = await list_services(connection)
    on_sale = [row for row in services if row.is_active and row.kind is Kind.DEFAULT]
    service = min(on_sale, key=lambda row: (row.min_quantity > _EXAMPLE_QUANTITY, row.number))
    quantity = min(max(service.min_quantity, _EXAMPLE_QUANTITY), service.max_quantity)
    return Example(service.number, service.name, quantity)
