"""Orders about to be placed: priced one by one, held in turn against their wallets; pure."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from compat.drafts import Draft
from compat.kinds import RULES, Counting, Kind
from compat.money import LIMIT
from gateway.accounts.model import Account
from gateway.accounts.spending.model import Spending, spend
from gateway.catalog.model import QUANTITY_MAX, Service
from gateway.errors import (
    ActiveOrder,
    IncorrectQuantity,
    InsufficientFunds,
    QuantityTooHigh,
    QuantityTooLow,
    ServiceDisabled,
    SpendCapReached,
    UnknownService,
)
from gateway.ledger.model import Entry, EntryType, Reference, Wallet, post
from gateway.orders.families.model import Mode, drip_details, family_of
from gateway.orders.model import Dispatch, Order, Status, price_of
from gateway.orders.replays.model import Replay
from gateway.orders.store import NewOrder


class Placing(msgspec.Struct, frozen=True):
    """One order to be placed, priced, and the wallet that pays."""

    new: NewOrder
    wallet_id: UUID
    replay: Replay | None = None
    refuse_duplicates: bool = False
    is_capped: bool = False

    @property
    def owner(self) -> tuple[UUID, str] | None:
        """Whose key the request is remembered under, where it is."""
        return (self.new.order.user_id, self.replay.key) if self.replay else None

    @property
    def depends_on_money_alone(self) -> bool:
        """Whether nothing but the price can refuse it, so that a wallet that cannot pay is all there is to say."""
        return not (self.replay or self.refuse_duplicates or self.is_capped)

    @property
    def is_plain(self) -> bool:
        """Whether it is no more than a row and its price, held."""
        return self.depends_on_money_alone and self.new.family is None


class Decided(msgspec.Struct, frozen=True):
    """What a batch comes to: an outcome for each, in order, and what is to be written."""

    outcomes: list[NewOrder | InsufficientFunds | SpendCapReached | ActiveOrder]
    wallets: dict[UUID, Wallet]
    entries: list[Entry]
    spending: dict[UUID, Spending]


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
    new = NewOrder(order, account.key_id, family)
    return Placing(
        new,
        account.wallet_id,
        refuse_duplicates=account.refuse_duplicates,
        is_capped=account.daily_spend_cap is not None,
    )


def _check_quantity(service: Service, kind: Kind, draft: Draft) -> None:
    if RULES[kind].counting is not Counting.ONE:
        if (draft.least or draft.quantity) < service.min_quantity:
            raise QuantityTooLow(service.min_quantity)
        if draft.quantity > service.max_quantity:
            raise QuantityTooHigh(service.max_quantity)
    if draft.quantity < 1:
        raise IncorrectQuantity


def decide(
    batch: Sequence[Placing],
    wallets: Mapping[UUID, Wallet],
    beside_active: Collection[UUID] = frozenset(),
    spending: Mapping[UUID, Spending] = MappingProxyType({}),
) -> Decided:
    """Hold the price of each order in turn, as long as wallet and cap cover it (row 0 of the table).

    `beside_active` are the orders that have an active one for the same service and link beside them;
    `spending` is today's of every key with a cap.
    """
    decided = Decided([], {}, [], {})
    placed: set[tuple[UUID, UUID, str]] = set()
    for placing in batch:
        order = placing.new.order
        same = (order.user_id, order.service_id, order.link)
        if placing.refuse_duplicates and (order.id in beside_active or same in placed):
            decided.outcomes.append(ActiveOrder())
            continue
        wallet = decided.wallets.get(placing.wallet_id) or wallets[placing.wallet_id]
        key_id = placing.new.api_key_id
        today = decided.spending.get(key_id) or spending.get(key_id)
        try:
            today = today and spend(today, order.price)
            after, entry = post(wallet, EntryType.HOLD, order.price, Reference("order", order.id))
        except (InsufficientFunds, SpendCapReached) as refusal:
            decided.outcomes.append(refusal.with_traceback(None))  # which names this frame, that has it in `decided`
            continue
        if today:
            decided.spending[key_id] = today
        decided.wallets[wallet.id] = after
        decided.entries.append(entry)
        decided.outcomes.append(placing.new)
        placed.add(same)
    return decided
