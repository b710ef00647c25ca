"""`/v1/admin/alerts`: what somebody should look at."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from gateway.accounts.scopes import Scope
from gateway.alerts import store
from gateway.alerts.store import AlertRow
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Page, PageQuery, page
from gateway.api.v1.operations import operation
from gateway.errors import NotFound


class Alert(msgspec.Struct, frozen=True):
    """A condition that holds, or held until `cleared_at`; `told` has when each channel was last told of it."""

    id: UUID
    kind: str
    severity: Literal["info", "warning", "critical"]
    subject: str
    message: str
    details: dict[str, Any]
    count: int
    raised_at: datetime
    last_at: datetime
    cleared_at: datetime | None
    told: dict[str, str]


class AlertsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts: the open ones, or all."""

    cleared: bool = False


@operation("GET", "/admin/alerts", scope=Scope.ADMIN, tag="admin: alerts", returns=Page[Alert])
async def admin_list_alerts(call: Call, query: AlertsQuery) -> Reply:
    """List the alerts that are open, the newest first; `cleared=true` lists those that are over too."""
    async with call.db.connection() as connection:
        rows = await store.list_newest(connection, with_cleared=query.cleared, before=query.after, most=query.limit + 1)
    return Reply(page([_shown(row) for row in rows], query.limit, [row.id for row in rows]))


@operation("DELETE", "/admin/alerts/{alert}", scope=Scope.ADMIN, tag="admin: alerts", returns=None, status=204)
async def admin_clear_alert(call: Call) -> Reply:
    """Clear an open alert by hand. What still holds comes back within seconds."""
    async with call.acting().transaction() as tx:
        if not await store.clear_by_hand(tx, alert_id=call.uuid("alert", "alert")):
            raise NotFound("alert")
    return Reply(None, 204)


def _shown(row: AlertRow) -> Alert:
    return Alert(**msgspec.structs.asdict(row))


OPERATIONS = [admin_list_alerts, admin_clear_alert]
