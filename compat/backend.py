"""What a host implements to serve the panel protocol: the Protocol behind `panel_app`."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from compat.wire import AddRequest, Balance, OrderStatus

Caller = TypeVar("Caller")


class PanelBackend(Protocol[Caller]):
    """One panel. Every method may raise `PanelError`, whose words and status go out as they are.

    `identify` is called first on every request and its result is handed to the action, so that key
    and limit are decided in one place, before anything else of the request is looked at.
    """

    async def identify(self, key: str, address: str) -> Caller:
        """Who calls. `key` is empty where none was sent; `address` is the peer's, without port."""
        ...

    async def services(self, caller: Caller) -> bytes:
        """The whole list as JSON, made with `compat.codec.encode_services`."""
        ...

    async def add(self, caller: Caller, request: AddRequest) -> int:
        """The number of the order that was placed."""
        ...

    async def statuses(self, caller: Caller, orders: Sequence[int]) -> dict[int, OrderStatus]:
        """The orders found; one that is left out is answered with `Incorrect order ID`."""
        ...

    async def balance(self, caller: Caller) -> Balance: ...
