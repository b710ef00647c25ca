"""Who acts, as the audit log puts it down."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who changes something on purpose: the holder of a key, or an operator at the command line.

    `action` is what he asked for, such as `create_key`; `reason` is his own word.
    """

    kind: Literal["key", "operator"]
    name: str
    action: str
    user_id: UUID | None = None
    key_id: UUID | None = None
    address: str | None = None
    request_id: str | None = None
    reason: str | None = None

    def to_setting(self) -> str:
        """For `Database.acting_as`; the triggers on audited tables read it."""
        return msgspec.json.encode(self).decode()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log.

    Of an update `before` and `after` hold the columns that changed, and of a secret only that it did.
    """

    id: UUID
    created_at: datetime
    actor: str
    actor_name: str
    actor_user_id: UUID | None
    actor_key_id: UUID | None
    address: str | None
    request_id: str | None
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
