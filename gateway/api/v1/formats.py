"""The forms of values in the native API's JSON."""

from decimal import Decimal
from typing import Annotated, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from compat.money import format_amount, round8
from gateway.events.payloads import Currency as Currency
from gateway.events.payloads import Money as Money
from gateway.ledger.model import NOTE_CHARS_MAX
from gateway.references import CHARS_MAX as REFERENCE_CHARS_MAX

# A pattern ends in `$(?!\n)`: in Python `$` alone lets a line break follow, and two references that differ by one
# would be two payments. Digits are spelt out, since `\d` takes those of any script.
Amount: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,8})?$(?!\n)", examples=["25.00"])]
"""A decimal that is given, not below zero."""
Percent: TypeAlias = Annotated[str, Meta(pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,8})?$(?!\n)", examples=["33.33"])]
"""A share as text, likewise; of a price that is next to nothing it may be far below zero."""
Number: TypeAlias = Annotated[int, Meta(ge=1, le=2_147_483_647)]
"""Of a service, an order or a refill."""
Reference: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$(?!\n)",
        min_length=1,
        max_length=REFERENCE_CHARS_MAX,
        examples=["invoice 2026-117"],
    ),
]
"""An operator's name for money that is booked once. Blanks round it would make two of one."""
Note: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NOTE_CHARS_MAX)]

Id: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]+$(?!\n)", min_length=1, max_length=64)]
"""In a path: an id, or a number."""
TierName: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,49}$(?!\n)", examples=["pro"])]
PATH_FORMS = {"tier": TierName}
"""Of path parameters that are no `Id`."""

LIMIT_MAX = 100

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Some rows of a list; `next`, given as `after`, goes on behind them, and is null at the end."""

    data: list[Item]
    next: str | None
    has_more: bool


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows of a list; `after` is `next` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 25
    after: UUID | None = None


def page(rows: list[Item], limit: int, ids: list[UUID]) -> Page[Item]:
    """A page of at most `limit` of the rows, of which one more was read to see whether there are more."""
    has_more = len(rows) > limit
    return Page(rows[:limit], str(ids[limit - 1]) if has_more else None, has_more)


def money(amount: Decimal) -> Money:
    """As text, for a reply."""
    return format_amount(round8(amount))
