"""Children that an upstream began: each gets a number of ours and the share of one run, once."""

from decimal import Decimal
from uuid import UUID

import msgspec

from compat.status import UpstreamStatus, parse_status
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.catalog.model import QUANTITY_MAX
from gateway.db.engine import Transaction
from gateway.errors import InsufficientFunds
from gateway.events import store as events
from gateway.events.store import Event
from gateway.ledger import store as ledger
from gateway.ledger.model import Entry, EntryType, Reference, Wallet, post
from gateway.orders import store
from gateway.orders.families import store as families
from gateway.orders.families.model import POSTS_AHEAD, UNPAID, Family, State, child_of
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.placement import created
from gateway.orders.shown import told
from gateway.orders.store import NewOrder


class NotPaidFor(InsufficientFunds):
    """The parent's hold is used up and the wallet has nothing for one more run."""


async def adopt(tx: Transaction, parent_id: UUID, child_id: UUID, upstream_id: str, quantity: int) -> bool:
    """Put down an upstream's run as an order of ours; False where the family has no run left for it.

    The upstream's id must be bound to `child_id` in this transaction already. The wallet is locked,
    then the parent. What the run costs less than its share is released.

    Raises:
        NotPaidFor: the transaction is to be rolled back; the run is found again later.
    """
    wallet, parent, family = await _lock(tx, parent_id)
    entries: list[Entry] = []
    if family.left == 0 and family.runs is None:
        wallet, parent, family = _hold_one(wallet, parent, family, entries)
    if family.left == 0 or not family.is_open:
        return False
    child = child_of(parent, family, child_id, quantity)
    unused = family.run_price - child.price
    if unused > 0:
        wallet, entry = post(wallet, EntryType.RELEASE, unused, Reference("order", child.id, "unused"))
        entries.append(entry)
    numbers = await store.insert(tx, [NewOrder(child, await store.get_api_key(tx, parent_id))])
    accepted = msgspec.structs.replace(
        child,
        dispatch=Dispatch.ACCEPTED,
        status=Status.PROCESSING,
        external_order_id=upstream_id,
        remains=quantity,
    )
    await store.update(tx, [accepted])
    await _write(tx, wallet, parent, family, entries)
    await families.begin_run(tx, family, child.id)
    await events.insert(tx, [created(child, numbers[child.id])])
    return True


async def top_up(tx: Transaction, parent_id: UUID) -> None:
    """Hold the money of the posts ahead of an open subscription; it pauses while there is none, and goes on after."""
    wallet, parent, family = await _lock(tx, parent_id)
    if not family.is_open or not family.is_short:
        return
    before, entries = family, list[Entry]()
    try:
        while family.left < POSTS_AHEAD:
            wallet, parent, family = _hold_one(wallet, parent, family, entries)
        resting = parse_status(parent.upstream_status) is UpstreamStatus.PAUSED
        family = msgspec.structs.replace(family, state=State.PAUSED if resting else State.ACTIVE)
        await alerts.clear(tx, UNPAID, f"order {parent.number}")
    except NotPaidFor:
        family = msgspec.structs.replace(family, state=State.PAUSED)
    await _write(tx, wallet, parent, family, entries)
    if family.state is not before.state:
        await _tell(tx, parent, family.state)


async def _tell(tx: Transaction, parent: Order, state: State) -> None:
    event = "order.paused" if state is State.PAUSED else "order.resumed"
    await events.insert(tx, [Event(event, parent.user_id, "order", parent.id, told(parent))])
    if state is State.PAUSED:
        message = "the wallet has no money for the next posts of this subscription"
        await alerts.raise_(tx, [Alert(UNPAID, f"order {parent.number}", message)])


async def _lock(tx: Transaction, parent_id: UUID) -> tuple[Wallet, Order, Family]:
    [owner] = await store.owners_of(tx, [parent_id])
    wallet = (await ledger.lock_of_owners(tx, [owner]))[owner]
    parent = (await store.lock(tx, [parent_id]))[parent_id]
    return wallet, parent, (await families.load(tx, [parent_id]))[parent_id]


def _hold_one(wallet: Wallet, parent: Order, family: Family, entries: list[Entry]) -> tuple[Wallet, Order, Family]:
    """Raises NotPaidFor where what can be spent does not cover one more run."""
    reference = Reference("order", parent.id, f"run {family.held + 1}")
    try:
        wallet, entry = post(wallet, EntryType.HOLD, family.run_price, reference)
    except InsufficientFunds as error:
        raise NotPaidFor from error
    entries.append(entry)
    price: Decimal = parent.price + family.run_price
    quantity = min(QUANTITY_MAX, parent.quantity + family.run_quantity)
    parent = msgspec.structs.replace(parent, price=price, quantity=quantity)
    return wallet, parent, msgspec.structs.replace(family, held=family.held + 1)


async def _write(tx: Transaction, wallet: Wallet, parent: Order, family: Family, entries: list[Entry]) -> None:
    await ledger.write(tx, [wallet], entries)
    await store.grow(tx, parent)
    await families.update(tx, family)
