"""What the guide says of each action and each field; its replies are written by the protocol's own encoder."""

from decimal import Decimal

import msgspec

from compat import encode
from compat.errors import INCORRECT_ORDER, PanelError
from compat.status import PanelStatus, SubscriptionWord
from compat.wire import Balance, OrderStatus, RefillStatus, Service, SubscriptionStatus


class Example(msgspec.Struct, frozen=True):
    """A reply, and what was asked for it."""

    sent: str
    reply: str


class Action(msgspec.Struct, frozen=True):
    """One action; `fields` are its own, by name, besides `key` and `action`."""

    name: str
    text: str
    fields: dict[str, str]
    examples: tuple[Example, ...]


def _example(sent: str, reply: bytes) -> Example:
    return Example(sent, reply.decode())


_SERVICE = Service(
    service=1,
    name="Followers",
    type="Default",
    category="First",
    rate=Decimal("0.90"),
    min=50,
    max=10000,
    refill=True,
    cancel=True,
)
_ORDER = OrderStatus(
    charge=Decimal("0.27819"), start_count=3572, status=PanelStatus.PARTIAL, remains=157, currency="USD"
)
_DRIP = OrderStatus(
    charge=Decimal("1.8"),
    start_count=3572,
    status=PanelStatus.IN_PROGRESS,
    remains=1000,
    currency="USD",
    runs=3,
    orders=(100002, 100003),
)
_SUBSCRIPTION = SubscriptionStatus(status=SubscriptionWord.ACTIVE, expiry="31/12/2030", posts=10, orders=(100006,))
_NO_ORDER = PanelError(INCORRECT_ORDER)
_TWO = [("100001", 100001), ("3", 3)]

ACTIONS = (
    Action(
        "services",
        "Everything you can order. The rate is the price of 1000; of one package for the package types.",
        {},
        (_example("action=services", encode.encode_services([_SERVICE])),),
    ),
    Action(
        "add",
        "Places an order and pays it from your balance. Besides the service, send the fields of the service's type.",
        {
            "service": "the service's number",
            "…": "the fields of its type, see below",
        },
        (
            _example(
                "action=add&service=1&link=https://example.com/p/1&quantity=1000",
                encode.encode_added(100001),
            ),
        ),
    ),
    Action(
        "status",
        "Where one order stands, or up to 500 of them in one request.",
        {"order": "the order's number", "orders": "or several, with commas between them"},
        (
            _example("action=status&order=100001", encode.encode_status(_ORDER)),
            _example("action=status&orders=100001,3", encode.encode_statuses(_TWO, {100001: _ORDER})),
            _example("action=status&order=… (a drip-feed: each run is an order too)", encode.encode_status(_DRIP)),
            _example(
                "action=status&order=… (a subscription: each post is an order too)",
                encode.encode_status(_SUBSCRIPTION),
            ),
        ),
    ),
    Action(
        "refill",
        "Asks for a refill of completed orders whose service has refill.",
        {"order": "the order's number", "orders": "or several, with commas between them"},
        (
            _example("action=refill&order=100001", encode.encode_refill(1)),
            _example("action=refill&orders=100001,3", encode.encode_refills(_TWO, {100001: 1, 3: _NO_ORDER})),
        ),
    ),
    Action(
        "refill_status",
        "Where refills stand: " + ", ".join(status.value for status in RefillStatus) + ".",
        {"refill": "the refill's number", "refills": "or several, with commas between them"},
        (
            _example("action=refill_status&refill=1", encode.encode_refill_status(RefillStatus.COMPLETED)),
            _example(
                "action=refill_status&refills=1,3",
                encode.encode_refill_statuses([("1", 1), ("3", 3)], {1: RefillStatus.COMPLETED}),
            ),
        ),
    ),
    Action(
        "cancel",
        "Asks to cancel orders. 1 says that the wish was taken; the order's status says what came of it.",
        {"orders": "the orders' numbers, with commas between them"},
        (_example("action=cancel&orders=100001,3", encode.encode_cancels(_TWO, {100001: None, 3: _NO_ORDER})),),
    ),
    Action(
        "balance",
        "What you can spend.",
        {},
        (_example("action=balance", encode.encode_balance(Balance(balance=Decimal("100.84292"), currency="USD"))),),
    ),
)

FIELDS = {
    "link": "address of the page or post",
    "quantity": "how many; of each run, where there are runs",
    "runs": "how often to deliver the quantity",
    "interval": "minutes between the runs",
    "keywords": "one a line",
    "comments": "one a line",
    "usernames": "one a line",
    "hashtags": "one a line",
    "groups": "one a line",
    "hashtag": "whose users are mentioned",
    "username": "name of the account",
    "media": "address of the post; media_url is read too",
    "answer_number": "which answer to vote for, from 1",
    "min": "least for each post",
    "max": "most for each post",
    "delay": "minutes to wait: 0, 5, 10, 15, 30, 60, 90 … 600",
    "posts": "how many new posts; without it, until it expires or is cancelled",
    "old_posts": "how many posts that exist already",
    "expiry": "last day, as d/m/Y",
    "country": "where the visits come from",
    "device": "1 desktop, 2 Android, 3 iOS, 4 mixed mobile, 5 mixed",
    "type_of_traffic": "1 Google keyword, 2 custom referrer, 3 blank",
    "google_keyword": "needed where type_of_traffic is 1",
    "referring_url": "needed where type_of_traffic is 2",
}
"""By name, since a name means the same in every type."""
