"""The simulated panel itself: what it accepts, and how its orders run by the clock; no network."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from compat.drafts import Draft, read_draft
from compat.errors import (
    IDEMPOTENCY_MISMATCH,
    INCORRECT_ORDER,
    INCORRECT_REQUEST,
    INCORRECT_SERVICE,
    NOT_ENOUGH_FUNDS,
    ORDER_NOT_COMPLETED,
    QUANTITY_LESS,
    QUANTITY_MORE,
    REFILL_DISABLED,
    PanelError,
)
from compat.kinds import RULES, Counting, Kind, parse_kind
from compat.money import format_amount, round8
from compat.simulator import families
from compat.simulator.aftercare import Refills
from compat.simulator.families import Parent
from compat.simulator.faults import Faults
from compat.simulator.log import Acceptance, AcceptLog
from compat.simulator.runs import CURRENCY, SECONDS, Now, Run, decide_ending, look, remains_now, reply_of
from compat.status import PanelStatus
from compat.wire import AddRequest, Balance, Service

FIRST_ORDER = 500_001
POSTS_OPEN = 10
"""Posts that an open subscription is charged for at once."""


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
        idempotency: bool = False,
    ) -> None:
        self.services = {str(service.service): service for service in services}
        self.accepted: list[Acceptance] = []
        self.refills = Refills(seed, faults, self._elapsed_since)
        self._seed = seed
        self._log = log
        self._faults = faults
        self._clock = clock
        self._speed = speed
        self._balance = balance
        self._idempotency = idempotency
        self._runs: dict[int, Run] = {}
        self._parents: dict[int, Parent] = {}
        self._keys: dict[str, Acceptance] = {}
        self._last = FIRST_ORDER - 1 + random.Random(f"first {seed}").randrange(0, 90) * 1000
        for recovered in log.recovered:
            self._begin(recovered)

    # what it is asked --------------------------------------------------------------------

    def add(self, request: AddRequest) -> int:
        """Accept one order; it is in the log, on the disk, before this returns.

        Raises:
            PanelError: the order cannot be taken; nothing was logged.
        """
        fields = dict(request.fields)
        key = fields.pop("idempotency_key", None)
        known = self._keys.get(key) if key and self._idempotency else None
        if known is not None:
            if (known.service, known.fields) != (request.service, fields):
                raise PanelError(IDEMPOTENCY_MISMATCH)
            return known.order
        service = self.services.get(request.service)
        if service is None:
            raise PanelError(INCORRECT_SERVICE)
        draft = _read(service, fields)
        runs = POSTS_OPEN if draft.runs is None else draft.runs
        charge = _price(service, draft.quantity) * runs
        if charge > self._balance:
            raise PanelError(NOT_ENOUGH_FUNDS)
        accepted = Acceptance(
            order=self._last + 1,
            service=request.service,
            idempotency_key=key,
            fields=fields,
            at=self._clock(),
            quantity=draft.quantity * runs,
            charge=format_amount(charge),
        )
        self._log.append(accepted)
        self._begin(accepted)
        return accepted.order

    def before(self, order: int) -> int:
        """The id given just before this one; the same where it is the first."""
        return order - 1 if order - 1 in self._runs else order

    def pay_in(self, amount: Decimal) -> None:
        """Our operator's deposit there; below zero it is taken out."""
        self._balance += amount

    def balance(self) -> Balance:
        return Balance(balance=self._balance, currency=CURRENCY, idempotency=self._idempotency)

    def status(self, order: int) -> dict[str, object] | None:
        """What `status` answers for one order now, faults of status included; None for an unknown one."""
        for parent_id in (order, order // families.CHILDREN_MAX):
            if parent_id in self._parents:
                self._begin_children(self._parents[parent_id])
        run = self._runs.get(order)
        if run is None:
            return None
        parent = self._parents.get(order)
        if parent is not None and parent.is_subscription:
            return {
                "status": families.subscription_word(parent, self._day()).value,
                "expiry": parent.draft.details.get("expiry", ""),
                "posts": parent.draft.details.get("posts", "0"),
                "orders": [str(child) for child in parent.children],
            }
        if parent is not None:
            orders = [str(child) for child in parent.children]
            return reply_of(run, self._drip_now(parent)) | {"runs": str(parent.draft.runs), "orders": orders}
        now = self._now(run)
        if self._faults.fires("negative-remains"):
            now = Now(now.status, -max(1, run.accepted.quantity // 10), now.charge)
        told = reply_of(run, now)
        return told | {"quantity": str(run.accepted.quantity)} if order > self._last else told

    def refill(self, order: int) -> int:
        """Raises PanelError in the words of the protocol where there is none to be had."""
        run = self._runs.get(order)
        if run is None:
            raise PanelError(INCORRECT_ORDER)
        if not self.services[run.accepted.service].refill:
            raise PanelError(REFILL_DISABLED)
        if order in self._parents or self._now(run).status is not PanelStatus.COMPLETED:
            raise PanelError(ORDER_NOT_COMPLETED)
        return self.refills.ask(order, self._clock())

    def cancel(self, order: int) -> None:
        """Stop an order where it is; of a parent, also the runs that have not begun.

        Raises:
            PanelError: unknown, ended, or of a service without cancel.
        """
        run = self._runs.get(order)
        if run is None:
            raise PanelError(INCORRECT_ORDER)
        parent = self._parents.get(order)
        if not self.services[run.accepted.service].cancel:
            raise PanelError(INCORRECT_REQUEST)
        if parent is None:
            if run.stopped is None and self._now(run).is_over:
                raise PanelError(INCORRECT_REQUEST)
            self._stop(run)
        elif parent.stopped_s is None:
            self._begin_children(parent)
            parent.stopped_s = self._elapsed_since(parent.started_at)
            for child in parent.children:
                if not self._now(self._runs[child]).is_over:
                    self._stop(self._runs[child])

    # how orders run ----------------------------------------------------------------------

    def _begin(self, accepted: Acceptance) -> None:
        self._last = max(self._last, accepted.order)
        self._runs[accepted.order] = run = self._run_of(accepted)
        self._balance -= run.charge
        self.accepted.append(accepted)
        if accepted.idempotency_key:
            self._keys.setdefault(accepted.idempotency_key, accepted)
        service = self.services.get(accepted.service)
        if service is None:
            return
        draft = _read(service, accepted.fields)
        kind = parse_kind(service.type) or Kind.DEFAULT
        parent = families.parent_of(accepted, kind, draft, _price(service, draft.quantity))
        if parent is not None:
            self._parents[accepted.order] = parent

    def _run_of(self, accepted: Acceptance) -> Run:
        order = random.Random(f"order {self._seed} {accepted.order}")
        return Run(accepted, Decimal(accepted.charge), order.uniform(*SECONDS), order.randrange(0, 20_000))

    def _begin_children(self, parent: Parent) -> None:
        accepted = self._runs[parent.order].accepted
        begun = families.runs_begun(parent, self._elapsed_since(parent.started_at), self._day())
        for run in range(len(parent.children) + 1, begun + 1):
            quantity = families.quantity_of(parent, run, self._seed)
            child = families.accepted_run(parent, accepted, run, quantity, self._speed)
            self._runs[child.order] = self._run_of(child)
            parent.children.append(child.order)

    def _drip_now(self, parent: Parent) -> Now:
        children = [self._runs[child] for child in parent.children]
        seen = [(child, self._now(child)) for child in children]
        over = [(child, now) for child, now in seen if now.is_over]
        delivered = sum(
            child.accepted.quantity - max(0, now.remains)
            for child, now in over
            if now.status is not PanelStatus.CANCELED
        )
        total = parent.draft.quantity * (parent.draft.runs or 1)
        charge = sum((now.charge for _, now in seen), Decimal(0))
        return Now(families.drip_status(parent, len(seen) - len(over), delivered), total - delivered, charge)

    def _now(self, run: Run) -> Now:
        decide_ending(run, self._faults)
        now = look(run, self._elapsed_since(run.accepted.at), self._faults)
        if now.is_over and not run.settled:
            run.settled = True
            self._balance += run.charge - now.charge
        return now

    def _stop(self, run: Run) -> None:
        if run.stopped is None:
            run.stopped = remains_now(run, self._elapsed_since(run.accepted.at))

    def _elapsed_since(self, at: float) -> float:
        return (self._clock() - at) * self._speed

    def _day(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _price(service: Service, quantity: int) -> Decimal:
    kind = parse_kind(service.type)
    by_package = kind is not None and RULES[kind].counting is Counting.ONE
    return round8(service.rate if by_package else service.rate * quantity / 1000)


def _read(service: Service, fields: Mapping[str, str]) -> Draft:
    """The order as its kind wants it; a service without drip-feed takes it in one run.

    Raises:
        PanelError: a field is missing, or the quantity of one run is out of range.
    """
    kind = parse_kind(service.type) or Kind.DEFAULT
    if not service.dripfeed:
        fields = {name: value for name, value in fields.items() if name not in ("runs", "interval")}
    draft = read_draft(kind, fields)
    if RULES[kind].counting is not Counting.ONE:
        if (draft.least or draft.quantity) < service.min:
            raise PanelError(QUANTITY_LESS.format(service.min))
        if draft.quantity > service.max:
            raise PanelError(QUANTITY_MORE.format(service.max))
    return draft
