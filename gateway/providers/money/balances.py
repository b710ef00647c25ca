"""Asking providers for our balance: readings kept, and routes that rested for want of money back in use."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import structlog

from compat.failures import UpstreamError, UpstreamRefusal
from compat.money import LIMIT
from compat.wire import Balance
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.db.engine import Database
from gateway.errors import NotFound
from gateway.providers.money import store
from gateway.providers.store import update_balance
from gateway.providers.upstream import Upstreams

log = structlog.get_logger(__name__)

KEY_REFUSED = "provider_key_refused"
PURGED_AT_ONCE = 1000
PURGES_MAX = 100


async def learn_balances(db: Database, upstreams: Upstreams, only: Collection[UUID] | None = None) -> None:
    """Ask every provider that is on, or `only` these of them, for its balance and whether it honours the extension.

    Where the reading shows that money is back, the routes that rested for want of it are used again.

    Raises:
        Unavailable: the database does not answer.
    """
    asked = [provider_id for provider_id in upstreams.active() if only is None or provider_id in only]
    answers = await asyncio.gather(*(upstreams.balance(provider_id) for provider_id in asked), return_exceptions=True)
    for provider_id, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Balance) and abs(answer.balance) < LIMIT:
            await _keep(db, provider_id, answer)
        elif isinstance(answer, Balance | UpstreamError | NotFound):
            log.warning("no balance", provider=str(provider_id), error=str(answer))
            if isinstance(answer, UpstreamRefusal) and answer.of_key:
                message = f"the provider refuses our key: {answer.text[:300]}"
                async with db.transaction() as tx:
                    await alerts.raise_(tx, [Alert(KEY_REFUSED, f"provider {provider_id}", message)])
        else:
            raise answer
    if asked:
        await upstreams.refresh()


async def learn_short_balances(db: Database, upstreams: Upstreams) -> None:
    """Ask again those whose routes rest for want of money; to be called far more often. Raises as `learn_balances`."""
    async with db.connection() as connection:
        short = await store.list_short(connection)
    await learn_balances(db, upstreams, short)


async def _keep(db: Database, provider_id: UUID, answer: Balance) -> None:
    async with db.transaction() as tx:
        await update_balance(tx, provider_id, answer.balance, answer.idempotency)
        await alerts.clear(tx, KEY_REFUSED, f"provider {provider_id}")
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
