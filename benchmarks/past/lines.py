"""Rows of the past as lines of COPY's text; pure."""

from datetime import UTC, datetime

from benchmarks.past.model import Service, amount

TABLES = {
    "orders": "id, number, user_id, api_key_id, service_id, provider_id, external_order_id, link, quantity, price, "
    "currency, charge, cost, upstream_charge, status, dispatch, upstream_status, start_count, remains, queued_at, "
    "next_attempt_at, created_at, updated_at, completed_at, started_at",
    "ledger": "id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after, hold_before, "
    "hold_after, reference_type, reference_id, description, created_at",
    "ledger_references": "wallet_id, wallet_seq, reference_type, reference_id, part, type",
    "events": "id, type, user_id, object_type, object_id, data, created_at, sequence",
    "order_events": "id, order_id, kind, details, created_at",
    "refills": "id, number, order_id, user_id, provider_id, external_order_id, state, upstream_id, created_at, "
    "updated_at, completed_at, next_try_at",
    "webhook_deliveries": "id, webhook_id, event_id, event_type, state, attempts, last_status, created_at, ended_at",
    "webhook_attempts": "id, delivery_id, webhook_id, number, status, response, duration_ms, created_at",
}
"""Columns by table; the others have their defaults."""

ANSWER_MS = 800
"""From an order to its upstream's answer."""
_WORDS = {"completed": "Completed", "partial": "Partial", "cancelled": "Canceled", "refunded": "Completed"}
_N = "\\N"
_SECONDS = [f"{second // 60:02d}:{second % 60:02d}" for second in range(3600)]


class Wallet:
    """A running wallet, by its row's amounts in 10^-8."""

    __slots__ = ("balance", "currency", "hold", "id", "seq", "user_id")

    def __init__(self, wallet_id: str, user_id: str, currency: str) -> None:
        self.id, self.user_id, self.currency = wallet_id, user_id, currency
        self.balance = self.hold = self.seq = 0


class Order:
    """An order with its end known from the beginning; `ended_ms` is None while it is open."""

    __slots__ = (
        "at_ms", "charge", "dispatch", "ended_ms", "id", "key_id", "link", "number", "price", "provider_id",
        "quantity", "remains", "service", "status", "user", "wallet",
    )  # fmt: skip

    at_ms: int
    ended_ms: int | None
    id: str
    number: int
    user: int
    wallet: Wallet
    key_id: str
    service: Service
    provider_id: str
    link: str
    quantity: int
    price: int
    charge: int
    remains: int
    status: str
    dispatch: str


class Clock:
    """Times as text, of which many are in the hour of the one before."""

    def __init__(self) -> None:
        self._hour, self._text = -1, ""

    def text(self, at_ms: int | None) -> str:
        if at_ms is None:
            return _N
        hour, rest = divmod(at_ms, 3_600_000)
        if hour != self._hour:
            self._hour, self._text = hour, datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y-%m-%d %H:")
        return f"{self._text}{_SECONDS[rest // 1000]}.{rest % 1000:03d}+00"


def order(made: Order, clock: Clock) -> str:
    at, ended, service = clock.text(made.at_ms), clock.text(made.ended_ms), made.service
    accepted = made.dispatch == "accepted"
    word = _WORDS.get(made.status, "In progress") if accepted else _N
    cost = amount(service.cost * made.quantity) if accepted else _N
    delivered = made.quantity if made.status == "completed" else made.quantity - made.remains
    charged = amount(service.cost * delivered) if accepted and made.ended_ms else _N
    started = clock.text(made.at_ms + 60_000) if accepted and made.status != "cancelled" else _N
    return (
        f"{made.id}\t{made.number}\t{made.wallet.user_id}\t{made.key_id}\t{service.id}\t{made.provider_id}\t"
        f"{upstream_id(made) if accepted else _N}\t{made.link}\t{made.quantity}\t{amount(made.price)}\t"
        f"{made.wallet.currency}\t{amount(made.charge)}\t{cost}\t{charged}\t{made.status}\t{made.dispatch}\t{word}\t"
        f"{made.number % 10_007 if accepted else _N}\t{made.remains if accepted else _N}\t{at}\t{at}\t{at}\t"
        f"{at if made.ended_ms is None else ended}\t{ended}\t{started}\n"
    )


def upstream_id(made: Order) -> str:
    return str(made.number + 7_000_000)


def entry(
    entry_id: str, wallet: Wallet, kind: str, units: int, to_balance: int, to_hold: int, reference: tuple[str, str],
    note: str, at: str,
) -> str:  # fmt: skip
    """The row that leads to the wallet as it is now."""
    return (
        f"{entry_id}\t{wallet.user_id}\t{wallet.id}\t{wallet.seq}\t{kind}\t{amount(units)}\t"
        f"{amount(wallet.balance - to_balance)}\t{amount(wallet.balance)}\t{amount(wallet.hold - to_hold)}\t"
        f"{amount(wallet.hold)}\t{reference[0]}\t{reference[1]}\t{note or _N}\t{at}\n"
    )


def event(event_id: str, kind: str, made: Order, status: str, sequence: int, at: str) -> str:
    """With `charge` and `remains` as the order has them at its end, before that those of one under way."""
    ended = status not in ("pending", "processing")
    charge, remains = (made.charge, made.remains) if ended else (made.price, made.quantity)
    return (
        f"{event_id}\t{kind}\t{made.wallet.user_id}\torder\t{made.id}\t"
        f'{{"number": {made.number}, "status": "{status}", "price": "{amount(made.price)}", '
        f'"charge": "{amount(charge)}", "remains": {remains}, "currency": "{made.wallet.currency}"}}\t'
        f"{at}\t{sequence}\n"
    )


def history(line_id: str, made: Order, kind: str, row: str, status: str, at: str) -> str:
    return f'{line_id}\t{made.id}\t{kind}\t{{"row": "{row}", "status": "{status}"}}\t{at}\n'


def refill(refill_id: str, number: int, made: Order, state: str, at: str, completed: str) -> str:
    done = completed if state in ("completed", "rejected") else _N
    return (
        f"{refill_id}\t{number}\t{made.id}\t{made.wallet.user_id}\t{made.provider_id}\t{upstream_id(made)}\t{state}\t"
        f"{number + 50_000}\t{at}\t{completed}\t{done}\t{_N if done != _N else completed}\n"
    )


def delivery(delivery_id: str, webhook_id: str, event_id: str, kind: str, state: str, at: str, ended: str) -> str:
    status = "200" if state == "delivered" else "500"
    return f"{delivery_id}\t{webhook_id}\t{event_id}\t{kind}\t{state}\t1\t{status}\t{at}\t{ended}\n"


def call(call_id: str, delivery_id: str, webhook_id: str, state: str, duration_ms: int, at: str) -> str:
    status, said = ("200", "ok") if state == "delivered" else ("500", "internal error")
    return f"{call_id}\t{delivery_id}\t{webhook_id}\t1\t{status}\t{said}\t{duration_ms}\t{at}\n"
