"""`/v1/admin/audit`: who changed what."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Page, PageQuery, page
from gateway.api.v1.operations import operation
from gateway.audit import store
from gateway.audit.model import Record


class AuditQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines: of one object (its table and id), or of one user who acted."""

    object_type: Annotated[str, Meta(max_length=50)] | None = None
    object_id: Annotated[str, Meta(max_length=255)] | None = None
    actor_user_id: UUID | None = None


@operation("GET", "/admin/audit", scope=Scope.ADMIN, tag="admin: audit", returns=Page[Record])
async def admin_list_audit(call: Call, query: AuditQuery) -> Reply:
    """List the changes that operators and keys made, the newest first.

    Of an update `before` and `after` hold the columns that changed; of a secret only that it did.
    """
    async with call.db.connection() as connection:
        rows = await store.list_records(
            connection,
            object_type=query.object_type,
            object_id=query.object_id,
            actor_user_id=query.actor_user_id,
            before=query.after,
            most=query.limit + 1,
        )
    return Reply(page(rows, query.limit, [row.id for row in rows]))


OPERATIONS = [admin_list_audit]
