"""What each type of event says: the `data` of its webhook, and its JSON Schema."""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

VERSION = 1
"""Of all forms below. Under one version fields may come; one that goes or changes its meaning makes the next."""

Money: TypeAlias = Annotated[str, Meta(pattern=r"^-?[0-9]{1,13}(\.[0-9]{1,8})?$(?!\n)", examples=["0.27819"])]
"""A decimal as text: no exponent, at most eight places."""
ORDER_STATUSES = ["pending", "processing", "completed", "partial", "cancelled", "failed", "refunded"]
REFILL_STATES = ["requested", "accepted", "completed", "rejected", "refused"]
Currency: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", examples=["USD"])]


class OrderData(msgspec.Struct, frozen=True, kw_only=True):
    """An order after the event. `price` is what was held for it, `charge` what it costs as things stand."""

    number: int
    status: Annotated[str, Meta(extra_json_schema={"enum": ORDER_STATUSES})]
    price: Money
    charge: Money
    remains: int
    currency: Currency


class RefillData(msgspec.Struct, frozen=True, kw_only=True):
    """A refill after the event, with the number of its order. `refused` and `rejected` both mean: not refilled."""

    number: int
    order: int
    state: Annotated[str, Meta(extra_json_schema={"enum": REFILL_STATES})]


class BalanceData(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet of which less than `threshold` can be spent from now on; said once until there is more again."""

    currency: Currency
    available: Money
    threshold: Money


class ServiceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A service on one side of a change; `on` says that it is on sale. Your price of it is at `GET /v1/services`."""

    name: str
    currency: Currency
    min: int
    max: int
    on: bool


class ServiceData(msgspec.Struct, frozen=True, kw_only=True):
    """A service before and after a change; `before` is null of a new one."""

    number: int
    before: ServiceTerms | None
    after: ServiceTerms


class KeyData(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, by its name."""

    name: str


class PingData(msgspec.Struct, frozen=True, kw_only=True):
    """A test message to this address."""

    url: str


class DisabledData(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that was switched off, why, and how many deliveries that waited were dropped, to 100 000."""

    reason: str
    dropped: int


Payload: TypeAlias = OrderData | RefillData | KeyData | PingData | DisabledData
"""What is written from here; of wallets and services the database writes it, in the statement that changes them."""

FORMS: dict[str, Any] = {
    **dict.fromkeys(
        (
            "order.created", "order.processing", "order.completed", "order.partial", "order.cancelled", "order.failed",
            "order.refunded", "order.paused", "order.resumed",
        ),
        OrderData,
    ),
    **dict.fromkeys(("refill.requested", "refill.accepted", "refill.completed", "refill.rejected"), RefillData),
    "balance.low": BalanceData,
    **dict.fromkeys(("service.new", "service.price", "service.limits", "service.off", "service.on"), ServiceData),
    **dict.fromkeys(("key.created", "key.changed", "key.rotated", "key.revoked"), KeyData),
    "webhook.ping": PingData,
    "webhook.disabled": DisabledData,
}  # fmt: skip
"""Every type of event, and the form of its data."""
