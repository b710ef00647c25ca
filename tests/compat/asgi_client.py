"""One request to an ASGI app without a server, and a panel to send it to."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from compat import AddRequest, Balance, Draft, Kind, OrderStatus, PanelError, PanelStatus, Service, read_draft
from compat.codec import parse_id
from compat.encode import encode_services
from compat.errors import (
    INCORRECT_REQUEST,
    INCORRECT_SERVICE,
    INVALID_KEY,
    ORDER_NOT_COMPLETED,
    REFILL_DISABLED,
    REFILL_TOO_EARLY,
)
from compat.listing import Listing
from compat.server import ASGIApp, Message
from compat.status import SubscriptionWord
from compat.wire import RefillStatus, SubscriptionStatus


class Reply(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


async def call(
    app: ASGIApp,
    method: str = "POST",
    path: str = "/api/v2",
    headers: dict[str, str] | None = None,
    chunks: Iterable[bytes] = (b"",),
    receive: Callable[[], Awaitable[Message]] | None = None,
) -> Reply | None:
    """The reply to one request; None where the app sent none."""
    pieces = list(chunks)
    sent: list[Message] = []

    async def receive_pieces() -> Message:
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    bare_path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": bare_path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("192.0.2.7", 4321),
    }
    await app(scope, receive or receive_pieces, send)
    if not sent:
        return None
    start, *rest = sent
    reply_headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], reply_headers, b"".join(message["body"] for message in rest))


SERVICES = {
    1: Service(
        service=1, name="Followers", type="Default", category="First", rate=Decimal("0.9"),
        min=50, max=10000, refill=True, cancel=True, desc="Täglich",
    ),
    2: Service(
        service="2", name="Pack", type="Package", category="First", rate=Decimal("8"), min=1, max=1,
        average_time="1 hour 20 minutes",
    ),
    3: Service(
        service=3, name="Say", type="Custom Comments", category="Second", rate=Decimal("0.0012"),
        min=1, max=100,
    ),
    4: Service(
        service=4, name="Say 10", type="Custom Comments Package", category="Second", rate=Decimal("2.50"),
        min=1, max=1, dripfeed=False,
    ),
    5: Service(service=5, name="Rank", type="SEO", category="Third", rate=Decimal("100"), min=1, max=10),
}  # fmt: skip
KINDS = {20 + place: kind for place, kind in enumerate(Kind)}
"""A service of each kind, which `services` does not list, so that its capture stays short."""

ORDERS: dict[int, OrderStatus | SubscriptionStatus] = {
    1: OrderStatus(
        charge=Decimal("0.27819000"), start_count=3572, status=PanelStatus.PARTIAL, remains=157,
        currency="USD",
    ),
    100: OrderStatus(
        charge=Decimal("100"), start_count=None, status=PanelStatus.IN_PROGRESS, remains=10, currency="USD"
    ),
    23501001: OrderStatus(
        charge=Decimal("1.50"), start_count=0, status=PanelStatus.COMPLETED, remains=0, currency="USD"
    ),
    7: OrderStatus(
        charge=Decimal("3"), start_count=5, status=PanelStatus.PARTIAL, remains=0, currency="USD"
    ),
    30: OrderStatus(
        charge=Decimal("2.7"), start_count=None, status=PanelStatus.IN_PROGRESS, remains=1000, currency="USD",
        runs=3, orders=(31, 32),
    ),
    40: SubscriptionStatus(
        status=SubscriptionWord.ACTIVE, expiry="31/12/2027", posts=5, orders=(41,)
    ),
    50: SubscriptionStatus(status=SubscriptionWord.PAUSED, expiry="", posts=0, orders=()),
}  # fmt: skip
REFILLS = {1: RefillStatus.COMPLETED, 2: RefillStatus.IN_PROGRESS, 3: RefillStatus.REJECTED, 4: RefillStatus.PENDING}


class StubPanel:
    """A panel with five services and four orders, which remembers what it was asked."""

    def __init__(self, fault: Exception | None = None, *, idempotency: bool = False) -> None:
        self.fault = fault
        self.idempotency = idempotency
        self.seen: list[tuple[str, str]] = []
        self.permitted: list[str] = []
        self.added: list[AddRequest] = []
        self.drafts: list[Draft] = []
        self.asked: list[Sequence[int]] = []

    async def identify(self, key: str, address: str) -> str:
        self.seen.append((key, address))
        if key != "secret":
            raise PanelError(INVALID_KEY)
        return "reseller"

    def permit(self, caller: str, action: str) -> None:
        self.permitted.append(action)

    async def services(self, caller: str) -> Listing:
        self._break()
        return Listing(encode_services(SERVICES.values()))

    async def add(self, caller: str, request: AddRequest) -> int:
        self._break()
        number = parse_id(request.service) or 0
        kind = Kind(SERVICES[number].type) if number in SERVICES else KINDS.get(number)
        if kind is None:
            raise PanelError(INCORRECT_SERVICE)
        self.added.append(request)
        self.drafts.append(read_draft(kind, request.fields))
        return 123500 + len(self.drafts)

    async def refill(self, caller: str, orders: Sequence[int]) -> dict[int, int | PanelError]:
        """Of 1 it is refill 1; those of 100 and 7 are refused."""
        self._break()
        self.asked.append(orders)
        answers: dict[int, int | PanelError] = {
            1: 1,
            100: PanelError(ORDER_NOT_COMPLETED),
            7: PanelError(REFILL_DISABLED),
            23501001: PanelError(REFILL_TOO_EARLY),
        }
        return {order: answers[order] for order in orders if order in answers}

    async def refill_statuses(self, caller: str, refills: Sequence[int]) -> dict[int, RefillStatus]:
        self._break()
        return {refill: REFILLS[refill] for refill in refills if refill in REFILLS}

    async def cancel(self, caller: str, orders: Sequence[int]) -> dict[int, PanelError | None]:
        """100 and 30 can be cancelled, 1 cannot."""
        self._break()
        self.asked.append(orders)
        answers = {100: None, 30: None, 1: PanelError(INCORRECT_REQUEST)}
        return {order: answers[order] for order in orders if order in answers}

    async def statuses(self, caller: str, orders: Sequence[int]) -> dict[int, OrderStatus | SubscriptionStatus]:
        self._break()
        self.asked.append(orders)
        return {order: ORDERS[order] for order in orders if order in ORDERS}

    async def balance(self, caller: str) -> Balance:
        self._break()
        return Balance(balance=Decimal("100.84292000"), currency="USD", idempotency=self.idempotency)

    def _break(self) -> None:
        if self.fault is not None:
            raise self.fault


def as_json(value: Any) -> bytes:
    """The compact JSON that replies are written in."""
    return msgspec.json.encode(value)
