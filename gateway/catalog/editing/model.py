"""A service and a provider as an operator may set them, and what is refused; pure."""

from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from compat.kinds import RULES, Counting, parse_kind
from compat.money import LIMIT, is_exact
from gateway.catalog.model import QUANTITY_MAX
from gateway.errors import Conflict
from gateway.providers.model import check_dialect, check_markup, check_url
from gateway.providers.money.model import check_low_balance

POLICIES = ("priority", "cheapest", "weighted")
PERCENT_LIMIT = Decimal(100_000)
FOLLOWED = ("name", "description", "category", "min_quantity", "max_quantity", "price")
"""What a sync takes over unless it was set by hand. Platform and type it never touches."""

Percent: TypeAlias = Decimal | UnsetType
Amount: TypeAlias = Decimal | UnsetType


class ServiceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A service's row as operators see it. `price` is of 1000 or of one package, in `currency`."""

    id: UUID
    number: int
    name: str
    description: str | None
    category: str
    platform: str
    type: str
    kind: str
    price: Decimal
    currency: str
    min_quantity: int
    max_quantity: int
    refill: bool
    cancel: bool
    dripfeed: bool
    policy: str
    is_active: bool
    is_offered: bool
    below_floor: bool
    hand_set: list[str]


class ServiceEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set, and in `follow` what is to follow the provider again."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    category: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    min_quantity: int | UnsetType = UNSET
    max_quantity: int | UnsetType = UNSET
    price: Amount = UNSET
    policy: str | UnsetType = UNSET
    is_offered: bool | UnsetType = UNSET
    follow: frozenset[str] = frozenset()


class ProviderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator sets of a provider. Amounts are in our currency but for `low_balance`, which is in its own."""

    name: str
    currency: str
    api_endpoint: str
    dialect: str
    is_active: bool
    priority: int
    exchange_rate: Decimal
    markup_percent: Decimal
    markup_fixed: Decimal
    price_step: Decimal | None
    margin_floor_percent: Decimal | None
    price_guard_percent: Decimal
    sends_per_second: Decimal | None
    max_in_flight: int | None
    low_balance: Decimal | None
    hold_new: bool


class ProviderEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set of a provider; None takes a bound away."""

    api_endpoint: str | UnsetType = UNSET
    dialect: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    exchange_rate: Amount = UNSET
    markup_percent: Percent = UNSET
    markup_fixed: Amount = UNSET
    price_step: Amount | None = UNSET
    margin_floor_percent: Percent | None = UNSET
    price_guard_percent: Percent = UNSET
    sends_per_second: Decimal | UnsetType | None = UNSET
    max_in_flight: int | UnsetType | None = UNSET
    low_balance: Amount | None = UNSET
    hold_new: bool | UnsetType = UNSET


def edit_service(before: ServiceTerms, edit: ServiceEdit) -> ServiceTerms:
    """The service as it is to be.

    Raises:
        Conflict: a value that makes no sense, or something that is both set and to be followed.
    """
    changes = _given(edit, ServiceTerms)
    if both := sorted(edit.follow & changes.keys()):
        raise Conflict(f"{both[0]} cannot be set and follow the provider at once")
    if strange := sorted(edit.follow - set(FOLLOWED)):
        raise Conflict(f"{strange[0]} does not follow the provider")
    by_hand = (set(before.hand_set) | (changes.keys() & set(FOLLOWED))) - edit.follow
    after = msgspec.structs.replace(before, **changes, hand_set=sorted(by_hand))
    _check_service(before, after)
    return after


def _check_service(before: ServiceTerms, after: ServiceTerms) -> None:
    for what, most in (("name", 255), ("category", 255), ("platform", 50), ("type", 50)):
        check_line(getattr(after, what), f"the {what} of a service", most)
    if after.description and not "".join(after.description.split()).isprintable():
        raise Conflict("the description of a service has characters that cannot be printed")
    if after.policy not in POLICIES:
        raise Conflict(f"a policy is one of {', '.join(POLICIES)}")
    check_amount(after.price, "a price", least=Decimal(0))
    limits = (after.min_quantity, after.max_quantity)
    if limits != (before.min_quantity, before.max_quantity):
        kind = parse_kind(after.kind)
        if kind and RULES[kind].counting is Counting.ONE:
            raise Conflict(f"of {after.kind} one is ordered at a time: it has no other limits")
        if not 1 <= after.min_quantity <= after.max_quantity <= QUANTITY_MAX:
            raise Conflict(f"the limits of a service are 1 <= min <= max <= {QUANTITY_MAX}")


def edit_provider(before: ProviderTerms, edit: ProviderEdit) -> ProviderTerms:
    """The provider as it is to be; its address without blanks round it.

    Raises:
        Conflict: a value that makes no sense.
    """
    after = msgspec.structs.replace(before, **_given(edit, ProviderTerms))
    check_dialect(after.dialect)
    check_markup(after.markup_percent)
    check_amount(after.markup_fixed, "a fixed markup")
    check_amount(after.exchange_rate, "an exchange rate", above=Decimal(0))
    check_percent(after.price_guard_percent, "a price guard", above=Decimal(0))
    if after.price_step is not None:
        check_amount(after.price_step, "a price step", above=Decimal(0))
    if after.margin_floor_percent is not None:
        check_percent(after.margin_floor_percent, "a margin floor", below=Decimal(100))
    if after.sends_per_second is not None:
        check_percent(after.sends_per_second, "a pace", above=Decimal(0))
    if after.low_balance is not None:
        check_low_balance(after.low_balance)
    if after.max_in_flight is not None and after.max_in_flight < 1:
        raise Conflict("at least one request may be in flight")
    return msgspec.structs.replace(after, api_endpoint=check_url(after.api_endpoint))


def changes_prices(before: ProviderTerms, after: ProviderTerms) -> bool:
    """Whether other prices, or other services below the floor, come of it."""
    names = ("exchange_rate", "markup_percent", "markup_fixed", "price_step", "margin_floor_percent")
    return any(getattr(before, name) != getattr(after, name) for name in names)


def check_line(text: str, what: str, most: int) -> str:
    """Raises Conflict for a text that is empty, too long, or not one line that can be printed."""
    if not 0 < len(text) <= most or not text.isprintable() or text != text.strip():
        raise Conflict(f"{what} has 1 to {most} printable characters, without blanks round them")
    return text


def check_amount(amount: Decimal, what: str, *, least: Decimal | None = None, above: Decimal | None = None) -> Decimal:
    """Raises Conflict for an amount that a row cannot keep to the last digit, or outside the bounds."""
    if not is_exact(amount):
        raise Conflict(f"{what} has at most 8 decimal places and is below {LIMIT}")
    if (least is not None and amount < least) or (above is not None and amount <= above):
        raise Conflict(f"{what} is {f'at least {least}' if least is not None else f'above {above}'}")
    return amount


def check_percent(
    percent: Decimal, what: str, *, above: Decimal = -PERCENT_LIMIT, below: Decimal = PERCENT_LIMIT
) -> Decimal:
    """Raises Conflict for a number that is not between the bounds, or has more than four places."""
    if not percent.is_finite() or not above < percent < below or percent != round(percent, 4):
        raise Conflict(f"{what} is above {above} and below {below}, with at most 4 decimal places")
    return percent


def _given(edit: ServiceEdit | ProviderEdit, target: type[ServiceTerms] | type[ProviderTerms]) -> dict[str, Any]:
    """What was set."""
    values = {name: getattr(edit, name) for name in edit.__struct_fields__ if name in target.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}
