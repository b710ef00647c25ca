"""Asking providers for our balance: readings kept, and routes that rested for want of money back in use."""

import asyncio
from collections.abc import Collection
from uuid import UUID

from compat.failures import UpstreamError, UpstreamRefusal
from compat.money import LIMIT
from compat.wire import Balance
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database
from gateway.errors import NotFound
from gateway.logs import Logger
from gateway.providers.money import store
from gateway.providers.store import update_balance, update_extension
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

KEY_REFUSED = "provider_key_refused"
OTHER_CURRENCY = "provider_currency"
KEPT_AT_ONCE = 4
"""Readings that are written at the same time, so that the pool is left to others."""
PURGED_AT_ONCE = 1000
PURGES_MAX = 100


async def learn_balances(db: Database, upstreams: Upstreams, only: Collection[UUID] | None = None) -> None:
    """Ask every provider that is on, or `only` these of them, for its balance and whether it honours the extension.

    Where the reading shows that money is back, the routes that rested for want of it are used again.

    Raises:
        Unavailable: the database does not answer.
    """
    asked = [provider_id for provider_id in upstreams.active() if only is None or provider_id in only]
    keeping = asyncio.Semaphore(KEPT_AT_ONCE)
    learnt = await asyncio.gather(*(_learn(db, upstreams, each, keeping) for each in asked), return_exceptions=True)
    failures = [failure for failure in learnt if failure is not None]
    if failures:
        raise failures[0]
    if asked:
        await upstreams.refresh()


async def _learn(db: Database, upstreams: Upstreams, provider_id: UUID, keeping: asyncio.Semaphore) -> None:
    """Each reading is kept as soon as it is there: it is of that moment, however long another provider takes."""
    try:
        answer = await upstreams.balance(provider_id)
        currency = upstreams.provider(provider_id).currency
    except (UpstreamError, NotFound) as error:
        log.warning("no balance", provider=str(provider_id), error=str(error))
        if isinstance(error, UpstreamRefusal) and error.of_key:
            message = f"the provider refuses our key: {error.text[:300]}"
            async with keeping, db.transaction() as tx:
                await alerts.raise_(tx, [Alert(KEY_REFUSED, f"provider {provider_id}", message)])
        return
    if abs(answer.balance) >= LIMIT:
        log.warning("no balance", provider=str(provider_id), error=f"{answer.balance} is no balance")
        return
    async with keeping:
        await _keep(db, provider_id, answer, currency)


async def learn_short_balances(db: Database, upstreams: Upstreams) -> None:
    """Ask again those whose routes rest for want of money; to be called far more often. Raises as `learn_balances`."""
    async with db.connection() as connection:
        short = await store.list_short(connection)
    await learn_balances(db, upstreams, short)


async def _keep(db: Database, provider_id: UUID, answer: Balance, currency: str) -> None:
    """What is said in another currency than the provider's is no amount of ours: it is told of and not kept."""
    subject = f"provider {provider_id}"
    async with db.transaction() as tx:
        await alerts.clear(tx, KEY_REFUSED, subject)
        if answer.currency not in ("", currency):
            await update_extension(tx, provider_id, answer.idempotency)
            message = f"it tells our balance in {answer.currency}, but its prices here are in {currency}"
            await alerts.raise_(tx, [Alert(OTHER_CURRENCY, subject, message)])
            return
        await alerts.clear(tx, OTHER_CURRENCY, subject)
        await update_balance(tx, provider_id, answer.balance, answer.idempotency)
        lifted = await store.lift_funds_pauses(tx, provider_id, answer.balance)
        await store.keep_reading(tx, provider_id, answer.balance)
    if lifted:
        log.info("funds are back", provider=str(provider_id), routes=lifted)


async def purge_readings(db: Database) -> None:
    """Delete readings that are older than 90 days, a thousand a transaction."""
    for _ in range(PURGES_MAX):
        async with db.transaction() as tx:
            if await store.purge_readings(tx, PURGED_AT_ONCE) < PURGED_AT_ONCE:
                return
