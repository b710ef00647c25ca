"""A change of the catalogue, and the place up to which a reader has read; pure."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

_CURSOR = re.compile(r"(\d{1,19})\.(\d{1,19})", re.ASCII)
_BIGINT_MAX = 2**63 - 1


class Since(msgspec.Struct, frozen=True):
    """Changes after this (transaction, id), and of this time or later."""

    xid: int = 0
    id: int = 0
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    @property
    def cursor(self) -> str:
        return f"{self.xid}.{self.id}"


class Change(msgspec.Struct, frozen=True):
    """`before` and `after` hold name, price, currency, min, max and on; prices are texts."""

    xid: int
    id: int
    service_id: UUID
    number: int
    kind: str
    before: dict[str, Any] | None
    after: dict[str, Any]
    at: datetime

    @property
    def cursor(self) -> str:
        return Since(self.xid, self.id).cursor


def parse_since(text: str) -> Since:
    """A cursor that was given out, a time with its offset (RFC 3339), or nothing for the beginning.

    Raises:
        ValueError: none of these.
    """
    if not text:
        return Since()
    found = _CURSOR.fullmatch(text)
    if found:
        if max(int(found[1]), int(found[2])) > _BIGINT_MAX:
            raise ValueError("no such cursor")
        return Since(int(found[1]), int(found[2]))
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    try:
        return Since(at=at.astimezone(UTC))
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error
