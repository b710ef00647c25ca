"""The panel protocol of `compat`, served from the gateway's accounts, catalogue, orders and wallets."""

from collections.abc import Sequence

from compat import wire
from compat.codec import parse_id
from compat.errors import PanelError
from compat.listing import Listing
from gateway.accounts import scopes
from gateway.accounts.model import Account
from gateway.api.callers import Callers
from gateway.api.errors import panel_words, to_panel_error
from gateway.api.listings import Listings, write_for_panels
from gateway.catalog.quality.board import QualityBoard
from gateway.catalog.snapshot import Catalog
from gateway.db.engine import Database
from gateway.errors import GatewayError
from gateway.ledger import store as ledger
from gateway.orders.cancels.wishing import cancel_orders
from gateway.orders.families.model import Mode, shown_subscription
from gateway.orders.model import Order
from gateway.orders.ordering import Ordering
from gateway.orders.reading import Kin, OrderReader
from gateway.orders.refills.asking import ask_for_refills, find_refills
from gateway.orders.refills.model import Shown, shown_state
from gateway.orders.replays.model import replay_of
from gateway.orders.shown import shown_charge, shown_remains, shown_status


class GatewayBackend:
    """What `compat.server` asks (`compat.backend.PanelBackend`), for every reseller of the gateway."""

    def __init__(
        self,
        db: Database,
        *,
        callers: Callers,
        catalog: Catalog,
        quality: QualityBoard,
        ordering: Ordering,
        reader: OrderReader,
        refill_wait_s: float,
    ) -> None:
        self._db = db
        self._callers = callers
        self._ordering = ordering
        self._reader = reader
        self._refill_wait_s = refill_wait_s
        self._listings = Listings(catalog, write_for_panels, lambda: quality.average_times)

    async def identify(self, key: str, address: str) -> Account:
        """Whose key it is, for one request of its limit; a wrong key costs the address one instead."""
        with panel_words():
            return await self._callers.identify(key, address)

    def permit(self, caller: Account, action: str) -> None:
        """Refuses what is not in the key's scopes."""
        with panel_words():
            scopes.require(caller, action)

    async def services(self, caller: Account) -> Listing:
        """What is on sale in the caller's currency, at his prices."""
        with panel_words():
            return await self._listings.of(caller.user_id, caller.currency)

    async def add(self, caller: Account, request: wire.AddRequest) -> int:
        """The number of the order, or that of the one which the same request placed before."""
        replay = replay_of(caller, request.service, request.fields)
        with panel_words():
            ordered = await self._ordering.order(caller, parse_id(request.service), request.fields, replay)
        return ordered.number

    async def statuses(
        self, caller: Account, orders: Sequence[int]
    ) -> dict[int, wire.OrderStatus | wire.SubscriptionStatus]:
        with panel_words():
            found = await self._reader.find(caller.user_id, orders)
            kin = await self._reader.kin(found.values())
        return {number: _shown(order, kin.get(number)) for number, order in found.items()}

    async def refill(self, caller: Account, orders: Sequence[int]) -> dict[int, int | PanelError]:
        with panel_words():
            asked = await ask_for_refills(self._db, self._reader, caller.user_id, orders, self._refill_wait_s)
        return {
            number: to_panel_error(answer) if isinstance(answer, GatewayError) else answer
            for number, answer in asked.items()
        }

    async def refill_statuses(self, caller: Account, refills: Sequence[int]) -> dict[int, wire.RefillStatus]:
        with panel_words():
            found = await find_refills(self._db, caller.user_id, refills)
        return {number: _REFILLS[shown_state(refill.state, refill.upstream_status)] for number, refill in found.items()}

    async def cancel(self, caller: Account, orders: Sequence[int]) -> dict[int, PanelError | None]:
        with panel_words():
            asked = await cancel_orders(self._db, self._reader, caller.user_id, orders)
        return {number: to_panel_error(answer) if answer else None for number, answer in asked.items()}

    async def balance(self, caller: Account) -> wire.Balance:
        with panel_words():
            async with self._db.connection() as connection:
                wallet = await ledger.find(connection, caller.wallet_id)
        if wallet is None:
            raise LookupError("an account without its wallet")
        return wire.Balance(balance=wallet.spendable, currency=wallet.currency, idempotency=True)


_REFILLS = {
    Shown.PENDING: wire.RefillStatus.PENDING,
    Shown.IN_PROGRESS: wire.RefillStatus.IN_PROGRESS,
    Shown.COMPLETED: wire.RefillStatus.COMPLETED,
    Shown.REJECTED: wire.RefillStatus.REJECTED,
}


def _shown(order: Order, kin: Kin | None) -> wire.OrderStatus | wire.SubscriptionStatus:
    if kin is not None and kin.family.mode is Mode.SUBSCRIPTION:
        return wire.SubscriptionStatus(
            status=shown_subscription(order, kin.family),
            expiry=order.details.get("expiry", ""),
            posts=kin.family.runs or 0,
            orders=kin.children,
        )
    return wire.OrderStatus(
        charge=shown_charge(order),
        start_count=order.start_count,
        status=shown_status(order),
        remains=shown_remains(order),
        currency=order.currency,
        runs=kin.family.runs if kin else None,
        orders=kin.children if kin else None,
    )
