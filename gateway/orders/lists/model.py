"""What is wanted of orders, and what a list has of each."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from gateway.orders.families.model import Family
from gateway.orders.model import TERMINAL, Dispatch, Order, Status

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


APART = (
    Dispatch.SENDING, Dispatch.UNKNOWN, Dispatch.REFUSED, Dispatch.WRITTEN_OFF, Dispatch.WITHDRAWN, Dispatch.PARENT,
)  # fmt: skip
"""What `idx_orders_dispatch` has, and nothing else."""
_FEW = (Dispatch.SENDING, Dispatch.UNKNOWN)
"""There are never many of them: what is on its way, and what a provider is paused for before it has more."""


class Index(msgspec.Struct, frozen=True):
    """One of orders: the columns that it has, and of these what is before the id, but for the user before that."""

    columns: frozenset[str]
    leading: Sequence[str]


def _index(columns: Sequence[str], *leading: str) -> Index:
    return Index(frozenset(columns), leading)


_BY_USER_LINK = _index(("o.user_id", "o.link"), "md5(o.link)", "o.user_id")
_BY_USER_STATUS = _index(("o.user_id", "o.status"), "o.status")
_BY_STATUS = _index(("o.status",), "o.status")
_BY_DISPATCH = _index(("o.dispatch",), "o.dispatch")
_INDEXES = (
    _index(("o.user_id", "o.service_id"), "o.service_id"),
    _index(("o.user_id", "o.provider_id"), "o.user_id"),
    _BY_USER_STATUS,
    _index(("o.user_id",), "o.user_id"),
    _index(("o.service_id", "o.provider_id"), "o.service_id"),
    _index(("o.service_id",), "o.service_id"),
    _BY_DISPATCH,
    _BY_STATUS,
)
"""Those of what mostly has fewer orders before the others."""
_INDEXES_OF_STATUS = (_BY_USER_STATUS, _BY_STATUS)
_FILTERS = {
    "o.user_id": "user_id",
    "o.status": "only_status",
    "o.dispatch": "dispatch",
    "o.provider_id": "provider_id",
    "o.service_id": "service",
    "o.link": "link",
}
_INDEXED = ({"o.user_id"}, {"o.link"})


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
        return self.since is None and self._columns in _INDEXED

    @property
    def indexes(self) -> Sequence[Index]:
        """By which the orders are looked through, one after the other.

        The last has all that is asked for, or what mostly fewer orders have than the rest. Before it comes an index of
        what may be rare: it is worth a look whether it is.
        """
        if self.dispatch in _FEW:
            return (_BY_DISPATCH,)
        columns = self._columns - {"o.dispatch"} if self.dispatch not in APART else self._columns
        if self.link is not None:  # one that many orders have: nobody knows what has fewer
            return [_BY_USER_LINK] if columns == _BY_USER_LINK.columns else []
        fitting = [index for index in _INDEXES if index.columns <= columns]
        by_status = [index for index in _INDEXES_OF_STATUS if index in fitting]
        if by_status and self.only_status not in TERMINAL:  # few have it, however many orders there are
            return by_status[:1]
        if not fitting or fitting[0].columns == columns or fitting[0] in _INDEXES_OF_STATUS:
            return fitting[:1]
        rare = [index for index in (_BY_DISPATCH,) if index in fitting]
        rare += by_status if self.only_status != Status.COMPLETED else []
        return [*rare[:1], fitting[0]]

    @property
    def _columns(self) -> frozenset[str]:
        return frozenset(column for column, name in _FILTERS.items() if getattr(self, name) is not None)

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
