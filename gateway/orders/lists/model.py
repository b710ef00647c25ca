"""What is wanted of orders, and what a list has of each."""

from datetime import datetime
from uuid import UUID

import msgspec

from gateway.orders.families.model import Family
from gateway.orders.model import Order


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders; None for whatever. Of times `since` is included and `until` is not.

    `before` is the id below which to go on: lists are by id, the newest first.
    """

    user_id: UUID | None = None
    status: str | None = None
    dispatch: str | None = None
    provider_id: UUID | None = None
    service: int | None = None
    link: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    most: int = 25


class Listed(msgspec.Struct, frozen=True):
    """An order with what is shown besides the row that decisions need; `service` and `parent` are numbers."""

    order: Order
    service: int
    parent: int | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    family: Family | None = None
    runs: tuple[int, ...] = ()
    cancel_wanted: bool = False


class Happened(msgspec.Struct, frozen=True):
    """One event of an order, as its owner may know it."""

    id: UUID
    type: str
    data: dict[str, object]
    created_at: datetime
