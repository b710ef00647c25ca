"""The fields of an order in JSON, and as the rules of the kinds of service take them (`compat.drafts`)."""

from datetime import date
from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from compat.kinds import RULES, Kind
from gateway.api.v1.formats import Number
from gateway.errors import Invalid

Quantity: TypeAlias = Annotated[int, Meta(ge=0, le=999_999_999)]
Line: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
Lines: TypeAlias = Annotated[list[Line], Meta(min_length=1, max_length=10_000)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2048)]


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to be placed. Which fields it takes depends on the service's `kind`; others are refused.

    Most take `link` and `quantity`; `runs` and `interval` (minutes) make a drip-feed. A subscription
    takes `username`, `min`, `max`, `delay` (minutes) and `posts`, `old_posts` or `expiry`.
    """

    service: Number
    link: Annotated[str, Meta(max_length=2048, examples=["https://example.com/p/1"])] | UnsetType = UNSET
    quantity: Annotated[Quantity, Meta(examples=[1000])] | UnsetType = UNSET
    runs: Quantity | UnsetType = UNSET
    interval: Quantity | UnsetType = UNSET
    comments: Lines | UnsetType = UNSET
    usernames: Lines | UnsetType = UNSET
    hashtags: Lines | UnsetType = UNSET
    keywords: Lines | UnsetType = UNSET
    groups: Lines | UnsetType = UNSET
    username: Text | UnsetType = UNSET
    hashtag: Text | UnsetType = UNSET
    media: Text | UnsetType = UNSET
    answer_number: Quantity | UnsetType = UNSET
    min: Quantity | UnsetType = UNSET
    max: Quantity | UnsetType = UNSET
    posts: Quantity | UnsetType = UNSET
    old_posts: Quantity | UnsetType = UNSET
    delay: Quantity | UnsetType = UNSET
    expiry: date | UnsetType = UNSET
    country: Text | UnsetType = UNSET
    device: Quantity | UnsetType = UNSET
    type_of_traffic: Quantity | UnsetType = UNSET
    google_keyword: Text | UnsetType = UNSET
    referring_url: Text | UnsetType = UNSET


def fields_of(new: NewOrder) -> dict[str, str]:
    """The fields that were given, as the panel protocol writes them."""
    given = {name: value for name, value in msgspec.structs.asdict(new).items() if value is not UNSET}
    given.pop("service")
    return {name: _text(value) for name, value in given.items()}


def check_fields(kind: Kind, fields: dict[str, str], root: str = "$") -> None:
    """Raises Invalid with the path of each field that an order of this kind does not take."""
    rule = RULES[kind]
    foreign = sorted(set(fields) - {*rule.fields, *rule.optional})
    if foreign:
        raise Invalid([(f"{root}.{name}", f"a service of the kind {kind} does not take it") for name in foreign])


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(value)
    if isinstance(value, date):
        return value.strftime("%d/%m/%Y")
    return str(value)
