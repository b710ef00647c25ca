"""The simulated panel itself: what it accepts, and how its orders run by the clock; no network."""

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from compat.codec import split_lines
from compat.drafts import read_draft
from compat.errors import (
    INCORRECT_QUANTITY,
    INCORRECT_REQUEST,
    INCORRECT_SERVICE,
    NOT_ENOUGH_FUNDS,
    QUANTITY_LESS,
    QUANTITY_MORE,
    PanelError,
)
from compat.kinds import RULES, Counting, Kind, parse_kind
from compat.money import format_amount, round8
from compat.simulator.faults import Faults
from compat.simulator.log import Acceptance, AcceptLog
from compat.status import PanelStatus
from compat.wire import AddRequest, Balance, Service

FIRST_ORDER = 500_001
CURRENCY = "USD"
_SECONDS = (2.0, 6.0)
"""From acceptance to the end of an order, at speed 1."""


class Run(msgspec.Struct):
    """One order under way; `ending` is settled when its status is first asked for."""

    accepted: Acceptance
    charge: Decimal
    seconds: float
    start_count: int
    ending: PanelStatus | None = None
    settled: bool = False
    completed_seen: bool = False
    went_back: int = 0


class Panel:
    """Orders, balance and catalogue of one panel. Ids go up from 500001 plus a seeded step."""

    def __init__(
        self,
        *,
        seed: int,
        services: Sequence[Service],
        log: AcceptLog,
        faults: Faults,
        clock: Callable[[], float],
        speed: float,
        balance: Decimal,
    ) -> None:
        self.services = {str(service.service): service for service in services}
        self.accepted: list[Acceptance] = []
        self._seed = seed
        self._log = log
        self._faults = faults
        self._clock = clock
        self._speed = speed
        self._balance = balance
        self._runs: dict[int, Run] = {}
        self._last = FIRST_ORDER - 1 + random.Random(f"first {seed}").randrange(0, 90) * 1000
        for recovered in log.recovered:
            self._begin(recovered)

    # what it is asked --------------------------------------------------------------------

    def add(self, request: AddRequest) -> int:
        """Accept one order; it is in the log, on the disk, before this returns.

        Raises:
            PanelError: the order cannot be taken; nothing was logged.
        """
        service = self.services.get(request.service)
        if service is None:
            raise PanelError(INCORRECT_SERVICE)
        quantity = _quantity(service, request.fields)
        charge = _price(service, quantity)
        if charge > self._balance:
            raise PanelError(NOT_ENOUGH_FUNDS)
        fields = dict(request.fields)
        accepted = Acceptance(
            order=self._last + 1,
            service=request.service,
            idempotency_key=fields.pop("idempotency_key", None),
            fields=fields,
            at=self._clock(),
            quantity=quantity,
            charge=format_amount(charge),
        )
        self._log.append(accepted)
        self._begin(accepted)
        return accepted.order

    def _begin(self, accepted: Acceptance) -> None:
        order = random.Random(f"order {self._seed} {accepted.order}")
        run = Run(accepted, Decimal(accepted.charge), order.uniform(*_SECONDS), order.randrange(0, 20_000))
        self._runs[accepted.order] = run
        self._last = max(self._last, accepted.order)
        self._balance -= run.charge
        self.accepted.append(accepted)

    def before(self, order: int) -> int:
        """The id given just before this one; the same where it is the first."""
        return order - 1 if order - 1 in self._runs else order

    def balance(self) -> Balance:
        return Balance(balance=self._balance, currency=CURRENCY)

    def status(self, order: int) -> dict[str, str] | None:
        """What `status` answers for one order now, faults of status included; None for an unknown one."""
        run = self._runs.get(order)
        if run is None:
            return None
        self._decide_ending(run)
        status, remains = self._progress(run)
        self._settle(run, status, remains)
        if self._faults.fires("negative-remains"):
            remains = -max(1, run.accepted.quantity // 10)
        return {
            "charge": format_amount(_charge(run, status, remains)),
            "start_count": str(run.start_count),
            "status": status.value,
            "remains": str(remains),
            "currency": CURRENCY,
        }

    # how orders run ----------------------------------------------------------------------

    def _decide_ending(self, run: Run) -> None:
        """By rate once an order, the first time; by order at any time before its end was told."""
        if run.settled:
            return
        for name, ending in (("partial", PanelStatus.PARTIAL), ("cancel", PanelStatus.CANCELED)):
            by_rate = run.ending is None and self._faults.rolled(name)
            if by_rate or self._faults.ordered(name):
                run.ending = ending
        run.ending = run.ending or PanelStatus.COMPLETED

    def _progress(self, run: Run) -> tuple[PanelStatus, int]:
        quantity = run.accepted.quantity
        done = (self._clock() - run.accepted.at) * self._speed / run.seconds
        if done < 0.25:
            return PanelStatus.PENDING, quantity
        if done < 1.0:
            return PanelStatus.IN_PROGRESS, quantity - int(quantity * (done - 0.25) / 0.75)
        if run.ending is PanelStatus.CANCELED:
            return PanelStatus.CANCELED, quantity
        if run.ending is PanelStatus.PARTIAL:
            return PanelStatus.PARTIAL, _half(quantity)
        if run.completed_seen and self._faults.fires("backwards-status"):
            run.went_back += 1
            back = PanelStatus.PARTIAL if run.went_back % 2 else PanelStatus.IN_PROGRESS
            return back, _half(quantity)
        run.completed_seen = True
        return PanelStatus.COMPLETED, 0

    def _settle(self, run: Run, status: PanelStatus, remains: int) -> None:
        """Give back, once, what an order that ended short did not deliver."""
        if run.settled or status in (PanelStatus.PENDING, PanelStatus.IN_PROGRESS):
            return
        run.settled = True
        self._balance += run.charge - _charge(run, status, remains)


def _half(quantity: int) -> int:
    return max(1, quantity // 2)


def _charge(run: Run, status: PanelStatus, remains: int) -> Decimal:
    if status is PanelStatus.CANCELED:
        return Decimal(0)
    if status is PanelStatus.PARTIAL and remains > 0:
        return round8(run.charge * (run.accepted.quantity - remains) / run.accepted.quantity)
    return run.charge


def _price(service: Service, quantity: int) -> Decimal:
    kind = parse_kind(service.type)
    by_package = kind is not None and RULES[kind].counting is Counting.ONE
    return round8(service.rate if by_package else service.rate * quantity / 1000)


def _quantity(service: Service, fields: Mapping[str, str]) -> int:
    """How much is ordered in all, runs multiplied out.

    Raises:
        PanelError: a field is missing, or the quantity of one run is out of range.
    """
    kind = parse_kind(service.type) or Kind.DEFAULT
    runs = _whole(fields.get("runs", "1"), 1000) if service.dripfeed else 1
    plain = {name: value for name, value in fields.items() if name not in ("runs", "interval")}
    fields = plain if service.dripfeed else fields
    quantity = read_draft(kind, fields).quantity
    if RULES[kind].counting is not Counting.ONE:
        if quantity < service.min:
            raise PanelError(QUANTITY_LESS.format(service.min))
        if quantity > service.max:
            raise PanelError(QUANTITY_MORE.format(service.max))
    return quantity * max(1, runs)


def _count(kind: Kind, fields: Mapping[str, str]) -> int:
    """For the kinds that `read_draft` does not serve: every field is there, and this is the quantity."""
    rule = RULES[kind]
    if any(name not in fields for name in rule.fields):
        raise PanelError(INCORRECT_REQUEST)
    if rule.counting is Counting.LINES and rule.lines is not None:
        return len(split_lines(fields[rule.lines]))
    if rule.counting is Counting.POSTS:
        return _whole(fields.get("posts", "1"), 1000) * _whole(fields["max"], 10**6)
    return _whole(fields["quantity"], 10**9)


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        raise PanelError(INCORRECT_QUANTITY)
    return int(text)
