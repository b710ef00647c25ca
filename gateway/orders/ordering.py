"""From a wish to an order: what both doors do with an `add`, so that neither has rules of its own."""

from collections.abc import Callable, Mapping
from uuid import UUID

import msgspec

from compat.drafts import read_draft
from compat.errors import PanelError
from compat.kinds import Kind
from gateway.accounts.model import Account
from gateway.catalog.model import Service
from gateway.catalog.snapshot import Catalog
from gateway.errors import (
    GatewayError,
    IdempotencyMismatch,
    ServiceDisabled,
    Unavailable,
    UnknownService,
    nothing_placed,
)
from gateway.orders.decisions import prepare
from gateway.orders.placement import Placement
from gateway.orders.replays.model import Replay


class Ordered(msgspec.Struct, frozen=True):
    """The number of the order that answers a wish; `new_id` is the id it has if this very wish placed it."""

    number: int
    new_id: UUID | None


class Ordering:
    """Takes wishes to order for any account, through whichever door they come."""

    def __init__(self, catalog: Catalog, placement: Placement) -> None:
        self._catalog = catalog
        self._placement = placement

    async def order(
        self,
        account: Account,
        service: int | None,
        fields: Mapping[str, str],
        replay: Replay | None,
        check: Callable[[Kind], None] = lambda kind: None,
    ) -> Ordered:
        """Place what the fields ask for, or find what the same request placed before.

        `check` may refuse the fields for the service's kind before its rules are looked at. A request
        that is refused by now, but placed an order the first time, is answered with that one.

        Raises:
            UnknownService, ServiceDisabled: see `find_service`.
            PanelError: a field is at fault (`read_draft`).
            GatewayError: as `Placement.place`, or of `check`.
        """
        try:
            with nothing_placed():
                found, kind = await self.find_service(account, service)
            check(kind)
            placing = prepare(account, found, read_draft(kind, fields))
            return Ordered(await self._placement.submit(placing, replay), placing.new.order.id)
        except (GatewayError, PanelError) as refusal:
            if replay is None or isinstance(refusal, Unavailable | IdempotencyMismatch):
                raise
            with nothing_placed():
                number = await self._placement.find_replayed(account.user_id, replay)
            if number is None:
                raise
            return Ordered(number, None)

    async def find_service(self, account: Account, number: int | None) -> tuple[Service, Kind]:
        """The service that the account can order by this number, at its own price.

        Raises:
            UnknownService: no number, no such service, of another currency or of a kind not served.
            ServiceDisabled: it is switched off.
        """
        service = None if number is None else await self._catalog.priced(number, account.user_id)
        kind = service.kind if service else None
        if service is None or kind is None or service.currency != account.currency:
            raise UnknownService
        if not service.is_active:
            raise ServiceDisabled
        return service, kind
