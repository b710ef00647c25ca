"""What a host implements to serve the panel protocol: the Protocol behind `panel_app`."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from compat.errors import PanelError
from compat.listing import Listing
from compat.wire import AddRequest, Balance, OrderStatus, RefillStatus, SubscriptionStatus

Caller = TypeVar("Caller")


class PanelBackend(Protocol[Caller]):
    """One panel. Every method may raise `PanelError`, whose words and status go out as they are.

    `identify` is called first on every request and its result is handed to the action, so that key
    and limit are decided in one place, before anything else of the request is looked at.
    """

    async def identify(self, key: str, address: str) -> Caller:
        """Who calls. `key` is empty where none was sent; `address` is the peer's, without port."""
        ...

    def permit(self, caller: Caller, action: str) -> None:
        """Called before every action that there is; `statuses` is `status` of many. Raises where he may not."""
        ...

    async def services(self, caller: Caller) -> Listing:
        """The whole list; the same object again as long as it has not changed, so that it is compressed once."""
        ...

    async def add(self, caller: Caller, request: AddRequest) -> int:
        """The number of the order that was placed."""
        ...

    async def statuses(self, caller: Caller, orders: Sequence[int]) -> Mapping[int, OrderStatus | SubscriptionStatus]:
        """The orders found; one that is left out is answered with `Incorrect order ID`."""
        ...

    async def refill(self, caller: Caller, orders: Sequence[int]) -> Mapping[int, int | PanelError]:
        """The number of the refill asked for, by order, or its refusal; one left out is `Incorrect order ID`."""
        ...

    async def refill_statuses(self, caller: Caller, refills: Sequence[int]) -> Mapping[int, RefillStatus]:
        """The refills found; one that is left out is answered with `Refill not found`."""
        ...

    async def cancel(self, caller: Caller, orders: Sequence[int]) -> Mapping[int, PanelError | None]:
        """None, by order, where the wish was taken, or its refusal; one left out is `Incorrect order ID`."""
        ...

    async def balance(self, caller: Caller) -> Balance: ...
