"""One Struct for each request and reply of the panel protocol (protocol §1).

What our server answers and what our client understood are the same Structs; the codec
writes them strictly and reads them tolerantly.
"""

import enum
from decimal import Decimal

import msgspec

from compat.errors import Fault
from compat.status import PanelStatus, SubscriptionWord, UpstreamStatus


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `services`. `rate` is the price of 1000, or of one package for Package kinds.

    `average_time` is how long an order takes, in words as `1 hour 20 minutes`; None where nothing is
    said. What an upstream says there is not read.
    """

    service: int | str
    name: str
    type: str
    category: str
    rate: Decimal
    min: int
    max: int
    refill: bool = False
    cancel: bool = False
    dripfeed: bool = False
    desc: str = ""
    average_time: str | None = None


class AddRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`add` as it came in, junk removed: every field that is absent, empty or a junk word is left out.

    `service` is the text that the client sent; `fields` are the other known fields of protocol §2,
    lists still as text with `\\n` between the lines.
    """

    service: str
    fields: dict[str, str]


class OrderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What our server says of one order; all of it goes out as strings.

    `runs` and `orders` (the numbers of its runs so far) are those of a drip-feed, else None.
    """

    charge: Decimal
    start_count: int | None
    status: PanelStatus
    remains: int
    currency: str
    runs: int | None = None
    orders: tuple[int, ...] | None = None


class SubscriptionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What our server says of a subscription; `posts` is 0 where their number is open, `expiry` is d/m/Y or empty."""

    status: SubscriptionWord
    expiry: str
    posts: int
    orders: tuple[int, ...]


class RefillStatus(enum.StrEnum):
    """Where a refill stands, in the words of `refill_status`."""

    PENDING = "Pending"
    IN_PROGRESS = "In progress"
    COMPLETED = "Completed"
    REJECTED = "Rejected"


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What can be spent. `idempotency` is the extension of protocol §6."""

    balance: Decimal
    currency: str
    idempotency: bool = False


# What an upstream answered -------------------------------------------------------------------


class Accepted(msgspec.Struct, frozen=True):
    """An order id came back: 1–64 characters `[0-9A-Za-z_-]`, not `0`."""

    order: str


class Refused(msgspec.Struct, frozen=True):
    """The upstream said no, in words we know."""

    fault: Fault
    text: str


class NotSent(msgspec.Struct, frozen=True):
    """Nothing can have left this machine, or the upstream's extension says that nothing was written."""

    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """Anything else once the request could have left; never to be sent again by itself."""

    reason: str
    evidence: str = ""


AddOutcome = Accepted | Refused | NotSent | Unknown


class UpstreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream says of one order.

    `status` is None where `word` is not one that we know; `remains` is None where it is absent or
    not a number (it may be negative). `orders` are the upstream's ids of the runs of a drip-feed or
    the posts of a subscription, in its order; `quantity` is told by few. `error` is set in place of
    the rest for a per-order error.
    """

    word: str = ""
    status: UpstreamStatus | None = None
    charge: Decimal | None = None
    start_count: int | None = None
    remains: int | None = None
    currency: str | None = None
    quantity: int | None = None
    orders: tuple[str, ...] = ()
    error: str | None = None


class RefillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream answered to `refill` of one order: the refill's id there, or its refusal."""

    refill: str | None = None
    error: str | None = None


class RefillReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream says of one refill; `status` is None where `word` is not one that we know."""

    word: str = ""
    status: RefillStatus | None = None
    error: str | None = None


class CancelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream answered to `cancel` of one order; `error` is None where it took the wish."""

    error: str | None = None
