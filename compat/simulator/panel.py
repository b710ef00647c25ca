"""The simulated panel itself: what it accepts, and how its orders run by the clock; no network."""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal

from compat.errors import (
    IDEMPOTENCY_MISMATCH,
    INCORRECT_ORDER,
    INCORRECT_REQUEST,
    INCORRECT_SERVICE,
    NOT_ENOUGH_FUNDS,
    ORDER_NOT_COMPLETED,
    REFILL_DISABLED,
    PanelError,
)
from compat.money import format_amount
from compat.simulator import families
from compat.simulator.aftercare import Refills
from compat.simulator.families import Parent
from compat.simulator.faults import Faults
from compat.simulator.log import Acceptance, AcceptLog, Asked
from compat.simulator.pricing import kind_of, price_of_run, read_order, runs_paid
from compat.simulator.runs import CURRENCY, SECONDS, Now, Run, decide_ending, end_of, look, remains_now, reply_of, tell
from compat.status import PanelStatus, SubscriptionWord
from compat.wire import AddRequest, Balance, Service

FIRST_ORDER = 500_001
_OPEN = (PanelStatus.PENDING, PanelStatus.IN_PROGRESS, SubscriptionWord.ACTIVE)


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
        self.listed = list(services)
        self.accepted: list[Acceptance] = []
        self.funds = balance
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
        self._asked_about: set[int] = set()
        self._last = FIRST_ORDER - 1 + random.Random(f"first {seed}").randrange(0, 90) * 1000
        for recovered in log.recovered:
            self._begin(recovered)
        for asked in sorted(log.recovered_asked, key=lambda asked: asked.order not in self._parents):
            self._recover(asked)

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
        draft = read_order(service, fields)
        runs = runs_paid(draft)
        charge = price_of_run(service, draft) * runs
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
        """The last id before this one that was asked about, so its buyer knows it; the same where there is none."""
        return max((number for number in self._asked_about if number < order), default=order)

    def relist(self, services: Sequence[Service]) -> None:
        """List these from now on, at their prices; what was listed before can still be ordered."""
        self.listed = list(services)
        self.services |= {str(service.service): service for service in services}

    def pay_in(self, amount: Decimal) -> None:
        """Our operator's deposit there; below zero it is taken out."""
        self._balance += amount

    def balance(self) -> Balance:
        for parent in self._parents.values():
            self._begin_children(parent)
        return Balance(balance=self._balance, currency=CURRENCY, idempotency=self._idempotency)

    def status(self, order: int) -> dict[str, object] | None:
        """What `status` answers for one order now, faults of status included; None for an unknown one."""
        run = self._find(order)
        if run is None:
            return None
        if order <= self._last:
            self._asked_about.add(order)
        parent = self._parents.get(order)
        if parent is not None and parent.is_subscription:
            return {
                "status": self._subscription_word(parent).value,
                "expiry": parent.draft.details.get("expiry", ""),
                "posts": parent.draft.details.get("posts", "0"),
                "orders": [str(child) for child in parent.children],
            }
        if parent is not None:
            orders = [str(child) for child in parent.children]
            return reply_of(run, self._drip_now(parent)) | {"runs": str(parent.draft.runs), "orders": orders}
        now = tell(run, self._now(run), self._faults)
        self._settle(run, now)
        if self._faults.fires("negative-remains"):
            now = Now(now.status, -max(1, run.accepted.quantity // 10), now.charge)
        told = reply_of(run, now)
        is_child = families.parent_id(order) in self._parents
        return told | {"quantity": str(run.accepted.quantity)} if is_child else told

    def refill(self, order: int) -> int:
        """The number of the order's open refill; a new one is in the log before this returns.

        Raises:
            PanelError: unknown, not completed, or of a service without refill.
        """
        run = self._find(order)
        if run is None:
            raise PanelError(INCORRECT_ORDER)
        if not self.services[run.accepted.service].refill:
            raise PanelError(REFILL_DISABLED)
        if self._now_of(order) is not PanelStatus.COMPLETED:
            raise PanelError(ORDER_NOT_COMPLETED)
        number = self.refills.find_open(order)
        if number is None:
            number = self.refills.next_number()
            asked = Asked(order=order, at=self._clock(), refill=number)
            self._log.append_asked(asked)
            self.refills.begin(number, order, asked.at)
        return number

    def cancel(self, order: int) -> None:
        """Stop an order where it is; of a parent the runs that have not begun. Once more changes nothing.

        Raises:
            PanelError: unknown, ended, or of a service without cancel.
        """
        run = self._find(order)
        if run is None:
            raise PanelError(INCORRECT_ORDER)
        if not self.services[run.accepted.service].cancel:
            raise PanelError(INCORRECT_REQUEST)
        parent = self._parents.get(order)
        if (run.stopped if parent is None else parent.stopped_s) is not None:
            return
        if self._now_of(order) not in _OPEN:
            raise PanelError(INCORRECT_REQUEST)
        asked = Asked(order=order, at=self._clock())
        self._log.append_asked(asked)
        self._stop(order, asked.at)
        self._find(order)

    # what became of it -------------------------------------------------------------------

    def end(self, order: int) -> Now | None:
        """How an order ends that has no runs, by what was decided for it; None while nothing is."""
        return end_of(self._runs[order])

    def quantity_of(self, order: int) -> int:
        return self._runs[order].accepted.quantity

    def runs_of(self, order: int) -> list[int] | None:
        """The ids of a parent's runs by now; None for an order that is no parent."""
        parent = self._parents.get(order)
        if parent is None:
            return None
        self._begin_children(parent)
        return list(parent.children)

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
        draft = read_order(service, accepted.fields)
        price = price_of_run(service, draft)
        parent = families.parent_of(accepted, kind_of(service), draft, price, self._speed)
        if parent is not None:
            self._parents[accepted.order] = parent

    def _recover(self, asked: Asked) -> None:
        """Of parents first, since their cancel says which runs there are. One older than its order was of another."""
        run = self._runs.get(asked.order) or self._find(asked.order)
        if run is None or asked.at < run.accepted.at:
            return
        if asked.refill is None:
            self._stop(asked.order, asked.at)
        else:
            self.refills.begin(asked.refill, asked.order, asked.at)

    def _find(self, order: int) -> Run | None:
        """The order, once the runs that have begun by now are orders too."""
        for number in (order, families.parent_id(order)):
            if number in self._parents:
                self._begin_children(self._parents[number])
        return self._runs.get(order)

    def _run_of(self, accepted: Acceptance) -> Run:
        order = random.Random(f"order {self._seed} {accepted.order}")
        charge = Decimal(accepted.charge)
        return Run(accepted, charge, order.uniform(*SECONDS), order.randrange(0, 20_000), kept=charge)

    def _begin_children(self, parent: Parent) -> None:
        accepted = self._runs[parent.order].accepted
        elapsed_s = self._elapsed_since(parent.started_at)
        begun = families.runs_begun(parent, elapsed_s)
        for run in range(len(parent.children) + 1, begun + 1):
            quantity = families.quantity_of(parent, run, self._seed)
            child = families.accepted_run(parent, accepted, run, quantity, self._speed)
            self._runs[child.order] = self._run_of(child)
            parent.children.append(child.order)
        if not parent.is_settled and families.has_begun_all(parent, elapsed_s):
            parent.is_settled = True
            used = sum((self._runs[child].charge for child in parent.children), Decimal(0))
            self._balance += self._runs[parent.order].charge - used

    def _subscription_word(self, parent: Parent) -> SubscriptionWord:
        return families.subscription_word(parent, self._elapsed_since(parent.started_at))

    def _now_of(self, order: int) -> PanelStatus | SubscriptionWord:
        parent = self._parents.get(order)
        if parent is None:
            return self._now(self._runs[order]).status
        return self._subscription_word(parent) if parent.is_subscription else self._drip_now(parent).status

    def _drip_now(self, parent: Parent) -> Now:
        children = [self._runs[child] for child in parent.children]
        return families.drip_now(parent, [(child.accepted.quantity, self._now(child)) for child in children])

    def _now(self, run: Run) -> Now:
        decide_ending(run, self._faults)
        now = look(run, self._elapsed_since(run.accepted.at))
        self._settle(run, now)
        return now

    def _settle(self, run: Run, now: Now) -> None:
        """Pay back what an order that is over does not cost."""
        if now.is_over:
            run.settled = True
            self._balance += run.kept - now.charge
            run.kept = now.charge

    def _stop(self, order: int, at: float) -> None:
        run, parent = self._runs[order], self._parents.get(order)
        elapsed_s = (at - run.accepted.at) * self._speed
        if parent is None:
            run.stopped = remains_now(run, elapsed_s)
        else:
            parent.stopped_s = elapsed_s

    def _elapsed_since(self, at: float) -> float:
        return (self._clock() - at) * self._speed
