"""What is wanted of orders, and what a list has of each."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from gateway.orders.families.model import Family
from gateway.orders.model import Dispatch, Order, Status

_UNSENT = frozenset({Status.PENDING})
_CANCELLED = frozenset({Status.CANCELLED})
STATUSES_OF: dict[Dispatch, frozenset[Status]] = {
    Dispatch.QUEUED: _UNSENT,
    Dispatch.SENDING: _UNSENT,
    Dispatch.UNKNOWN: _UNSENT,
    Dispatch.ACCEPTED: frozenset(Status) - {Status.FAILED},
    Dispatch.REFUSED: frozenset({Status.FAILED}),
    Dispatch.WRITTEN_OFF: _CANCELLED,
    Dispatch.WITHDRAWN: _CANCELLED,
    Dispatch.PARENT: frozenset(Status),
}
"""Which statuses an order can have, by where it stands with its upstream: nothing else comes of `docs/states.md`."""


_INDEXED = ({"user_id"}, {"link"})
_LEADING = {
    frozenset({"user_id"}): ("o.user_id",),
    frozenset({"user_id", "provider_id"}): ("o.user_id",),
    frozenset({"user_id", "status"}): ("o.status",),
    frozenset({"user_id", "service"}): ("o.service_id",),
    frozenset({"user_id", "link"}): ("md5(o.link)", "o.user_id"),
    frozenset({"service"}): ("o.service_id",),
    frozenset({"service", "provider_id"}): ("o.service_id",),
    frozenset({"status"}): ("o.status",),
}
"""Filters that one index has, with what is before the id in it: all of it, or what is behind the user."""
APART = (
    Dispatch.SENDING, Dispatch.UNKNOWN, Dispatch.REFUSED, Dispatch.WRITTEN_OFF, Dispatch.WITHDRAWN, Dispatch.PARENT,
)  # fmt: skip
"""What `idx_orders_dispatch` has, and nothing else."""
_FEW = (Dispatch.SENDING, Dispatch.UNKNOWN)
"""There are never many of them: what is on its way, and what a provider is paused for before it has more."""
_FILTERS = ("user_id", "status", "dispatch", "provider_id", "service", "link")


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

    @property
    def has_its_index(self) -> bool:
        """Whether the planner takes the index of it without knowing the values.

        Not so from some time on: it takes what is between two ids that it does not know for very little.
        """
        return self.since is None and self._filters in _INDEXED

    @property
    def leading(self) -> Sequence[str] | None:
        """What is before the id in the index that has all that is asked for, whatever the values; None without one."""
        if self.dispatch in APART and (self._filters == {"dispatch"} or self.dispatch in _FEW):
            return ("o.dispatch",)
        if self.dispatch in (Dispatch.QUEUED, Dispatch.REFUSED):  # most or all of those with the one status they have
            return _LEADING.get(self._filters - {"dispatch"} | {"status"})
        return _LEADING.get(self._filters)

    @property
    def _filters(self) -> frozenset[str]:
        return frozenset(name for name in _FILTERS if getattr(self, name) is not None)

    @property
    def only_status(self) -> str | None:
        """The one that all of them have, which indexes know: the one asked for, or that of the dispatch."""
        if self.status is None and self.dispatch is not None and len(STATUSES_OF[Dispatch(self.dispatch)]) == 1:
            [status] = STATUSES_OF[Dispatch(self.dispatch)]
            return status.value
        return self.status

    @property
    def is_impossible(self) -> bool:
        """Whether no order can have both the status and the dispatch; to look for one is to look through them all."""
        if self.status is None or self.dispatch is None:
            return False
        return self.status not in STATUSES_OF[Dispatch(self.dispatch)]


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
