"""Each day of each account put down once it is over, and again when a deposit of it is entered late."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.audit import store as audit
from gateway.db.engine import Database, Transaction
from gateway.errors import Conflict, Unavailable
from gateway.logs import Logger
from gateway.providers.money import store as money
from gateway.providers.money.days import store
from gateway.providers.money.model import check_deposit
from gateway.references import check_reference

log = Logger(__name__)

DAYS_MAX = 31
"""Days that are caught up on, after a time without a worker."""
AT_ONCE = 100


async def reconcile_days(db: Database) -> int:
    """Put down the days that are over and are not there; how many were.

    Raises:
        Unavailable: the database does not answer; the rest waits for the next turn.
    """
    async with db.connection() as connection:
        days = await store.list_unreckoned(connection, DAYS_MAX, AT_ONCE)
    done = 0
    for provider_id, day in days:
        try:
            async with db.transaction() as tx:
                done += await store.reckon(tx, provider_id, day)
        except Unavailable:
            raise
        except Exception:  # one day must not keep the others from being reckoned
            log.exception("a day could not be reckoned", provider=str(provider_id), day=str(day))
    return done


class Deposited(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit as it stands; `entered` is False where the same one was there."""

    amount: Decimal
    reference: str
    at: datetime
    entered: bool


async def enter_deposit(
    tx: Transaction, provider_id: UUID, amount: Decimal, reference: str, at: datetime | None = None
) -> Deposited:
    """Note what was paid in there (below zero: taken out) at a time, now where none is given; once a reference.

    The days round that time that were reckoned without it are reckoned anew, while their readings are kept.

    Raises:
        Conflict: the reference stands for another amount or time, the time is yet to come, or that is no amount.
    """
    amount, reference = check_deposit(amount), check_reference(reference)
    made_at = await money.insert_deposit(tx, provider_id, amount, reference, at)
    if made_at is None:
        return await _known(tx, provider_id, amount, reference, at)
    entered = {"amount": f"{amount:f}", "reference": reference, "at": made_at}
    await audit.record(tx, "provider_deposits", str(provider_id), None, entered)
    day = made_at.astimezone(UTC).date()
    yesterday = (await money.clock(tx)).astimezone(UTC).date() - timedelta(days=1)
    for around in (day - timedelta(days=1), day, day + timedelta(days=1)):
        if around <= yesterday:
            await store.reckon(tx, provider_id, around)
    return Deposited(amount=amount, reference=reference, at=made_at, entered=True)


async def _known(tx: Transaction, provider_id: UUID, amount: Decimal, reference: str, at: datetime | None) -> Deposited:
    known = await money.find_deposit(tx, provider_id, reference)
    if known is None:
        raise Conflict("a deposit cannot be entered before it is made")
    if known[0] != amount or at not in (None, known[1]):
        raise Conflict(f"the reference {reference} stands for {known[0]:f} of {known[1]:%Y-%m-%d %H:%M:%S %Z}")
    return Deposited(amount=amount, reference=reference, at=known[1], entered=False)
