"""Orders of the past with all that follows from them, told in the order of their times; pure.

An order has the money that `docs/states.md` names for how it ended, and every wallet's rows run on without a gap.
"""

import heapq
import random
from collections.abc import Iterator

from benchmarks.past import lines
from benchmarks.past.lines import ANSWER_MS, TABLES, Clock, Order, Wallet
from benchmarks.past.model import CURRENCIES, PLACES, Past, to_ms

FIRST_NUMBER = 100_001
DAY_MS = 86_400_000
ENDINGS = [*["completed"] * 89, *["partial"] * 4, *["cancelled"] * 5, "failed", "refunded"]
"""How orders ended, one in a hundred each."""
_ROWS = {"completed": "14", "partial": "15", "cancelled": "16", "failed": "5", "refunded": "14"}
QUANTITIES = (50, 100, 100, 200, 250, 500, 1000, 1000, 2000, 5000)
REFILLED = 0.01
FAILED_DELIVERIES = 0.002
BATCH = 2000
"""Orders between two hand-overs of rows."""

Rows = dict[str, list[str]]


class Story:
    """Makes the rows; `placed` and `refilled` count them, and `wallets` are as they leave them."""

    def __init__(self, past: Past) -> None:
        self.past = past
        size = past.size
        self.wallets = [
            Wallet(past.id_of("wallet", at), past.id_of("user", at // 2), CURRENCIES[at % 2])
            for at in range(2 * size.users)
        ]
        self.placed = self.refilled = 0
        self._keys = [past.id_of("key", at) for at in range(2 * size.users)]
        self._providers = [past.id_of("provider", at) for at in range(size.providers)]
        self._webhooks = [past.id_of("webhook", at) for at in range(size.webhooks)]
        self._sold = [[each for each in past.services() if each.currency == currency] for currency in CURRENCIES]
        self._chance = random.Random(past.seed)
        self._clock = Clock()
        self._made = 0
        self._pending: list[tuple[int, int, Order]] = []
        self._rows: Rows = {name: [] for name in TABLES}
        self._told_ms = to_ms(past.months[-size.told_months]) if size.told_months else past.last_ms
        today_ms = past.last_ms // DAY_MS * DAY_MS
        self._delivered_ms = max(self._told_ms, today_ms - size.delivered_days * DAY_MS)

    def tell(self) -> Iterator[tuple[int | None, Rows]]:
        """Rows since the time before; with the month that is over where it is, by its place."""
        past, count = self.past, self.past.size.orders
        step = (past.last_ms - past.first_ms) / (count + 1)
        for place, month_end in enumerate(past.ends()):
            until = min(month_end, past.last_ms)
            while self.placed < count and (at := int(past.first_ms + step * (self.placed + 1))) < until:
                self._settle_until(at)
                self._place(at)
                if self.placed % BATCH == 0:
                    yield None, self._taken()
            self._settle_until(until)
            yield place, self._taken()

    def _taken(self) -> Rows:
        taken, self._rows = self._rows, {name: [] for name in TABLES}
        return taken

    def _id(self, at_ms: int) -> str:
        self._made += 1
        return f"{at_ms:012x}7{self._made & 0xFFF:03x}8{self._made:015x}"

    def _place(self, at_ms: int) -> None:
        order = self._order(at_ms)
        wallet = order.wallet
        if wallet.balance - wallet.hold < order.price:
            units = (order.price * 100 // PLACES + 50) * PLACES
            self._book(at_ms, wallet, "deposit", units, units, 0, ("payment", self._id(at_ms)), note="deposit")
        self._book(at_ms, wallet, "hold", order.price, 0, order.price, ("order", order.id))
        self._rows["orders"].append(lines.order(order, self._clock))
        if order.ended_ms is not None:
            heapq.heappush(self._pending, (order.ended_ms, order.number, order))
        self._tell_event(at_ms, "order.created", order, "pending", 1)
        if order.dispatch == "accepted":
            self._tell_event(at_ms + ANSWER_MS, "order.processing", order, "processing", 2)
            self._tell_history(at_ms + ANSWER_MS, order, "WasAccepted", "3", "processing")

    def _order(self, at_ms: int) -> Order:
        """Few users order much, few services are bought much, and most links are met more than once."""
        chance, size = self._chance, self.past.size
        order = Order()
        order.at_ms, order.id, order.number = at_ms, self._id(at_ms), FIRST_NUMBER + self.placed
        self.placed += 1
        order.user = int(size.users * chance.random() ** 3)
        which = chance.random() < 0.2
        order.wallet, order.key_id = self.wallets[2 * order.user + which], self._keys[2 * order.user + which]
        sold = self._sold[which]
        order.service = sold[int(len(sold) * chance.random() ** 2)]
        order.provider_id = self._providers[order.service.provider]
        order.link = f"https://www.instagram.com/p/C{int(chance.random() * size.orders / 3):08d}u{order.user}/"
        order.quantity = QUANTITIES[int(10 * chance.random())]
        order.price = order.service.rate * order.quantity
        order.status = ENDINGS[int(len(ENDINGS) * chance.random())]
        order.ended_ms = at_ms + int(120_000 + 80_000_000 * chance.random() ** 4)
        order.dispatch = "refused" if order.status == "failed" else "accepted"
        left = size.orders - self.placed
        if left < size.open_orders or order.ended_ms >= self.past.last_ms:
            order.ended_ms, order.status, order.dispatch = None, "processing", "accepted"
            if left < size.open_orders // 6:
                order.status, order.dispatch = "pending", "queued"
            elif left % 100 == 7:
                order.status, order.dispatch = "pending", "unknown"
        self._charge(order)
        return order

    def _charge(self, order: Order) -> None:
        """What it costs at its end, and what remains by then."""
        match order.status:
            case "completed":
                order.remains = 0
            case "partial" | "refunded":
                order.remains = 1 + int((order.quantity - 1) * self._chance.random())
            case _:
                order.remains = order.quantity
        order.charge = order.service.rate * (order.quantity - order.remains)

    def _settle_until(self, at_ms: int) -> None:
        while self._pending and self._pending[0][0] <= at_ms:
            self._settle(heapq.heappop(self._pending)[2])

    def _settle(self, order: Order) -> None:
        at, wallet, price, charge = order.ended_ms or 0, order.wallet, order.price, order.charge
        reference = ("order", order.id)
        taken = price if order.status == "refunded" else charge
        if taken:
            self._book(at, wallet, "withdraw", taken, -taken, -taken, reference)
        if taken < price:
            self._book(at, wallet, "release", price - taken, 0, taken - price, reference)
        if order.status == "refunded":
            part = f"delivered={order.quantity - order.remains}"
            self._book(at, wallet, "refund", price - charge, price - charge, 0, reference, part=part)
        first = "completed" if order.status == "refunded" else order.status
        sequence = 3 if order.dispatch == "accepted" else 2
        self._tell_event(at, f"order.{order.status}", order, order.status, sequence)
        kind = "WasRefused" if order.status == "failed" else "Reported"
        self._tell_history(at, order, kind, _ROWS[order.status], first)
        if order.status == "completed" and self._chance.random() < REFILLED:
            self._refill(at + 1000, order)

    def _book(
        self, at_ms: int, wallet: Wallet, kind: str, units: int, to_balance: int, to_hold: int,
        reference: tuple[str, str], *, part: str = "", note: str = "",
    ) -> None:  # fmt: skip
        wallet.balance += to_balance
        wallet.hold += to_hold
        wallet.seq += 1
        at = self._clock.text(at_ms)
        self._rows["ledger"].append(
            lines.entry(self._id(at_ms), wallet, kind, units, to_balance, to_hold, reference, note, at)
        )
        if part:
            self._rows["ledger_references"].append(
                f"{wallet.id}\t{wallet.seq}\t{reference[0]}\t{reference[1]}\t{part}\t{kind}\n"
            )

    def _refill(self, at_ms: int, order: Order) -> None:
        self.refilled += 1
        drawn = self._chance.random()
        state = "completed" if drawn < 0.9 else "rejected" if drawn < 0.98 else "accepted"
        at, done = self._clock.text(at_ms), self._clock.text(at_ms + DAY_MS // 4)
        self._rows["refills"].append(lines.refill(self._id(at_ms), self.refilled, order, state, at, done))

    def _tell_event(self, at_ms: int, kind: str, order: Order, status: str, sequence: int) -> None:
        if at_ms < self._told_ms:
            return
        event_id, at = self._id(at_ms), self._clock.text(at_ms)
        self._rows["events"].append(lines.event(event_id, kind, order, status, sequence, at))
        if self.past.has_webhook(order.user) and at_ms >= self._delivered_ms:
            self._deliver(at_ms, event_id, kind, self._webhooks[order.user])

    def _deliver(self, at_ms: int, event_id: str, kind: str, webhook_id: str) -> None:
        delivery_id, drawn = self._id(at_ms), self._chance.random()
        state = "failed" if drawn < FAILED_DELIVERIES else "delivered"
        at, ended = self._clock.text(at_ms), self._clock.text(at_ms + 300)
        self._rows["webhook_deliveries"].append(
            lines.delivery(delivery_id, webhook_id, event_id, kind, state, at, ended)
        )
        duration_ms = 20 + int(200 * drawn)
        self._rows["webhook_attempts"].append(
            lines.call(self._id(at_ms), delivery_id, webhook_id, state, duration_ms, ended)
        )

    def _tell_history(self, at_ms: int, order: Order, kind: str, row: str, status: str) -> None:
        if at_ms >= self._told_ms:
            at = self._clock.text(at_ms)
            self._rows["order_events"].append(lines.history(self._id(at_ms), order, kind, row, status, at))
