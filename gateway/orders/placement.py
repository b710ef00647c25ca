"""Placing orders: price, hold and row in one transaction, shared by the requests that wait together."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from compat.drafts import Draft
from compat.kinds import RULES, Counting, Kind
from compat.money import LIMIT
from gateway.accounts.model import Account
from gateway.batching import Batcher
from gateway.catalog.model import QUANTITY_MAX, Service
from gateway.db.engine import ROLLED_BACK, Database
from gateway.errors import (
    Conflict,
    GatewayError,
    IncorrectQuantity,
    InsufficientFunds,
    QuantityTooHigh,
    QuantityTooLow,
    ServiceDisabled,
    Unavailable,
    UnknownService,
)
from gateway.events import store as events
from gateway.events.store import Event
from gateway.ledger import store as ledger
from gateway.ledger.model import Entry, EntryType, Reference, Wallet, post
from gateway.orders import store
from gateway.orders.families.model import Mode, drip_details, family_of
from gateway.orders.model import Dispatch, Order, Status, price_of
from gateway.orders.store import NewOrder

BATCH_MAX = 128
WAITING_MAX = 2000


class Placing(msgspec.Struct, frozen=True):
    """One order to be placed, priced, and the wallet that pays."""

    new: NewOrder
    wallet_id: UUID


class Decided(msgspec.Struct, frozen=True):
    """What a batch comes to: an outcome for each, in order, and what is to be written."""

    outcomes: list[NewOrder | InsufficientFunds]
    wallets: dict[UUID, Wallet]
    entries: list[Entry]


def prepare(account: Account, service: Service, draft: Draft) -> Placing:
    """Price the order and hold it against the service's rules.

    Raises:
        UnknownService: not sold in the account's currency, or of a kind that is not served.
        ServiceDisabled: switched off.
        QuantityTooLow, QuantityTooHigh: outside the service's limits.
        IncorrectQuantity: nothing, or more in all runs than an order can have.
        InsufficientFunds: it costs more than any wallet holds.
    """
    if service.currency != account.currency or service.kind is None:
        raise UnknownService
    if not service.is_active or service.provider_id is None:
        raise ServiceDisabled
    _check_quantity(service, service.kind, draft)
    package = RULES[service.kind].counting is Counting.ONE
    order_id = uuid7()
    run_price = price_of(service.rate, draft.quantity, package=package)
    family = family_of(order_id, service.kind, draft, run_price, native=service.dripfeed)
    runs = family.held if family else 1
    if draft.quantity * runs > QUANTITY_MAX:
        raise IncorrectQuantity
    if run_price * runs >= LIMIT:
        raise InsufficientFunds
    order = Order(
        id=order_id,
        number=0,
        user_id=account.user_id,
        service_id=service.id,
        provider_id=service.provider_id,
        external_order_id=None,
        link=draft.link,
        quantity=draft.quantity * runs,
        price=run_price * runs,
        currency=service.currency,
        charge=run_price * 0,
        status=Status.PENDING,
        dispatch=Dispatch.PARENT if family and family.mode is Mode.OWN else Dispatch.QUEUED,
        upstream_status=None,
        start_count=None,
        remains=None,
        details=draft.details | drip_details(family),
        is_parent=family is not None,
    )
    return Placing(NewOrder(order, account.key_id, family), account.wallet_id)


def _check_quantity(service: Service, kind: Kind, draft: Draft) -> None:
    if RULES[kind].counting is not Counting.ONE:
        if (draft.least or draft.quantity) < service.min_quantity:
            raise QuantityTooLow(service.min_quantity)
        if draft.quantity > service.max_quantity:
            raise QuantityTooHigh(service.max_quantity)
    if draft.quantity < 1:
        raise IncorrectQuantity


def decide(batch: Sequence[Placing], wallets: dict[UUID, Wallet]) -> Decided:
    """Hold the price of each order in turn, as long as its wallet covers it (row 0 of the table)."""
    decided = Decided([], {}, [])
    for placing in batch:
        order = placing.new.order
        wallet = decided.wallets.get(placing.wallet_id) or wallets[placing.wallet_id]
        try:
            after, entry = post(wallet, EntryType.HOLD, order.price, Reference("order", order.id))
        except InsufficientFunds as refusal:
            decided.outcomes.append(refusal)
            continue
        decided.wallets[wallet.id] = after
        decided.entries.append(entry)
        decided.outcomes.append(placing.new)
    return decided


class _Contended(Exception):
    """Some wallet of the batch is locked by another; the batcher halves it, so that the others go on."""


class Placement:
    """Takes orders of one process. Nothing leaves the process here: the row is the instruction to send."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._batcher: Batcher[Placing, int] = Batcher(
            self._flush, max_batch=BATCH_MAX, max_waiting=WAITING_MAX, name="placement"
        )

    async def place(self, account: Account, service: Service, draft: Draft) -> int:
        """The number of an order whose price is held, that the dispatcher will send.

        Raises:
            UnknownService, ServiceDisabled, QuantityTooLow, QuantityTooHigh: see `prepare`.
            InsufficientFunds: what can be spent does not cover the price.
            Unavailable: `placed` False where nothing was written, None where it cannot be known.
        """
        return await self._batcher.submit(prepare(account, service, draft))

    async def close(self) -> None:
        await self._batcher.close()

    async def _flush(self, batch: list[Placing]) -> list[int | GatewayError]:
        try:
            return await self._write(batch)
        except Conflict as error:  # holds of these very orders are booked: an earlier commit went through
            return await self._look_up(batch, Unavailable(error.what))
        except Unavailable as error:
            if error.placed is not False:
                return await self._look_up(batch, error)
            if len(batch) > 1 and isinstance(error.__cause__, ROLLED_BACK):
                raise _Contended from error
            raise

    async def _write(self, batch: list[Placing]) -> list[int | GatewayError]:
        async with self._db.transaction() as tx:
            wallets = await ledger.lock(tx, [placing.wallet_id for placing in batch])
            decided = decide(batch, wallets)
            accepted = [outcome for outcome in decided.outcomes if isinstance(outcome, NewOrder)]
            numbers: dict[UUID, int] = {}
            if accepted:
                await ledger.write(tx, decided.wallets.values(), decided.entries)
                numbers = await store.insert(tx, accepted)
                await events.insert(tx, [created(new.order, numbers[new.order.id]) for new in accepted])
        return [numbers[outcome.order.id] if isinstance(outcome, NewOrder) else outcome for outcome in decided.outcomes]

    async def _look_up(self, batch: list[Placing], lost: Unavailable) -> list[int | GatewayError]:
        """The answer to the commit was lost: look what is there, since a batch is written whole or not at all.

        The wallets' locks are taken first, so that a commit still under way in the server is waited for.
        """
        try:
            async with self._db.transaction() as tx:
                await ledger.lock(tx, [placing.wallet_id for placing in batch])
                numbers = await store.numbers_of(tx, [placing.new.order.id for placing in batch])
        except (Unavailable, asyncpg.PostgresError) as error:
            raise Unavailable(lost.what) from error
        if not numbers:
            raise Unavailable(lost.what, placed=False)
        refused = InsufficientFunds()
        return [numbers.get(placing.new.order.id, refused) for placing in batch]


def created(order: Order, number: int) -> Event:
    """The event that tells of a new order."""
    data = {"number": number, "status": order.status, "price": order.price, "currency": order.currency}
    return Event("order.created", order.user_id, "order", order.id, data)
