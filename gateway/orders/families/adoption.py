"""Children that an upstream began: each gets a number of ours and the share of one run, once."""

from decimal import Decimal
from uuid import UUID

import msgspec

from compat.status import UpstreamStatus, parse_status
from gateway.accounts.spending import store as spending
from gateway.accounts.spending.model import Spending, spend
from gateway.alerts import store as alerts
from gateway.alerts.store import Alert
from gateway.catalog.model import QUANTITY_MAX
from gateway.db.engine import Transaction
from gateway.errors import Conflict, InsufficientFunds, SpendCapReached
from gateway.events import store as events
from gateway.events.store import Event
from gateway.ledger import store as ledger
from gateway.ledger.model import Entry, EntryType, Reference, Wallet, post
from gateway.orders import store
from gateway.orders.entering import store as entering
from gateway.orders.families import store as families
from gateway.orders.families.model import POSTS_AHEAD, UNPAID, Family, State, child_of
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.shown import told
from gateway.orders.store import NewOrder


class NotPaidFor(Conflict):
    """The parent's hold is used up, and wallet or cap of the day do not cover one more run."""


class _Held(msgspec.Struct, frozen=True):
    """A parent with the wallet that pays for it and, where its key has a cap, what that key has spent today."""

    wallet: Wallet
    today: Spending | None
    parent: Order
    family: Family


async def adopt(tx: Transaction, parent_id: UUID, child_id: UUID, upstream_id: str, quantity: int) -> bool:
    """Put down an upstream's run as an order of ours; False where the family has no run left for it.

    The upstream's id must be bound to `child_id` in this transaction already. The wallet is locked, then the key's
    day, then the parent. What the run costs less than its share is released.

    Raises:
        NotPaidFor: the transaction is to be rolled back; the run is found again later.
    """
    held = await _lock(tx, parent_id)
    entries: list[Entry] = []
    if held.family.left == 0 and held.family.runs is None:
        held = _hold_one(held, entries)
    parent, family = held.parent, held.family
    if family.left == 0 or not family.is_open:
        return False
    child = child_of(parent, family, child_id, quantity)
    unused = family.run_price - child.price
    if unused > 0:
        wallet, entry = post(held.wallet, EntryType.RELEASE, unused, Reference("order", child.id, "unused"))
        held = msgspec.structs.replace(held, wallet=wallet)
        entries.append(entry)
    await entering.insert(tx, [NewOrder(child, await store.get_api_key(tx, parent_id))])
    accepted = msgspec.structs.replace(
        child,
        dispatch=Dispatch.ACCEPTED,
        status=Status.PROCESSING,
        external_order_id=upstream_id,
        remains=quantity,
    )
    await store.update(tx, [accepted])
    await _write(tx, held, entries)
    await families.begin_run(tx, family, child.id)
    return True


async def top_up(tx: Transaction, parent_id: UUID) -> None:
    """Hold the money of the posts ahead of an open subscription; it pauses while there is none, and goes on after."""
    held = before = await _lock(tx, parent_id)
    if not before.family.is_open or not before.family.is_short:
        return
    entries, missing = list[Entry](), ""
    try:
        while held.family.left < POSTS_AHEAD:
            held = _hold_one(held, entries)
        state = State.PAUSED if parse_status(held.parent.upstream_status) is UpstreamStatus.PAUSED else State.ACTIVE
        await alerts.clear(tx, UNPAID, f"order {held.parent.number}")
    except NotPaidFor as error:
        state, missing = State.PAUSED, str(error)
    held = msgspec.structs.replace(held, family=msgspec.structs.replace(held.family, state=state))
    await _write(tx, held, entries)
    if state is not before.family.state:
        await _tell(tx, held.parent, state)
        if missing:
            await alerts.raise_(tx, [Alert(UNPAID, f"order {held.parent.number}", missing)])


async def _tell(tx: Transaction, parent: Order, state: State) -> None:
    event = "order.paused" if state is State.PAUSED else "order.resumed"
    await events.insert(tx, [Event(event, parent.user_id, "order", parent.id, told(parent))])


async def _lock(tx: Transaction, parent_id: UUID) -> _Held:
    [owner] = await store.owners_of(tx, [parent_id])
    wallet = (await ledger.lock_of_owners(tx, [owner]))[owner]
    key_id = await store.get_api_key(tx, parent_id)
    today = (await spending.lock(tx, [key_id])).get(key_id)
    parent = (await store.lock(tx, [parent_id]))[parent_id]
    return _Held(wallet, today, parent, (await families.load(tx, [parent_id]))[parent_id])


def _hold_one(held: _Held, entries: list[Entry]) -> _Held:
    """Raises NotPaidFor where neither wallet nor cap cover one more run."""
    parent, family = held.parent, held.family
    reference = Reference("order", parent.id, f"run {family.held + 1}")
    try:
        today = held.today and spend(held.today, family.run_price)
        wallet, entry = post(held.wallet, EntryType.HOLD, family.run_price, reference)
    except InsufficientFunds as error:
        raise NotPaidFor("the wallet has no money for the next posts of this subscription") from error
    except SpendCapReached as error:
        raise NotPaidFor("the key of this subscription may spend no more today on its next posts") from error
    entries.append(entry)
    price: Decimal = parent.price + family.run_price
    quantity = min(QUANTITY_MAX, parent.quantity + family.run_quantity)
    parent = msgspec.structs.replace(parent, price=price, quantity=quantity)
    return _Held(wallet, today, parent, msgspec.structs.replace(family, held=family.held + 1))


async def _write(tx: Transaction, held: _Held, entries: list[Entry]) -> None:
    await ledger.write(tx, [held.wallet], entries)
    if held.today:
        await spending.write(tx, [held.today])
    await store.grow(tx, held.parent)
    await families.update(tx, held.family)
