"""A send, how long an order waits for the next, and what is recorded of an answer to `add`; pure."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from compat.errors import Fault, is_bad_request
from compat.kinds import RULES, Counting, Kind
from compat.money import LIMIT
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown
from gateway.catalog.model import Route
from gateway.dispatch.routing import Verdict
from gateway.orders.model import Order, price_of

BACK_OFF_S_MAX = 300.0
EVIDENCE_CHARS_MAX = 2048


class Attempt(msgspec.Struct, frozen=True):
    """One send. Its id is the token without which no outcome is written."""

    id: UUID
    order: Order
    kind: Kind
    route: Route
    considered: list[Verdict] | None = None
    """Of every route that the service has, where it has more than one."""

    @property
    def cost(self) -> Decimal | None:
        """What the upstream is expected to charge by its last price list; None for more than a row can hold."""
        package = RULES[self.kind].counting is Counting.ONE
        cost = price_of(self.route.cost_per_1000, self.order.quantity, package=package)
        return cost if cost < LIMIT else None


def back_off(tries: int) -> timedelta:
    """The rest of an order after its n-th try that did not leave: 1, 2, 4 … seconds, at most 5 minutes."""
    return timedelta(seconds=min(2.0 ** min(max(tries, 1) - 1, 16), BACK_OFF_S_MAX))


def fields_of(order: Order, kind: Kind) -> dict[str, str]:
    """The fields of `add` besides `service`, as the kind has them (protocol §2)."""
    if RULES[kind].counting is Counting.POSTS:
        return dict(order.details)
    fields = {"link": order.link, **order.details}
    if RULES[kind].counting is Counting.FIELD:
        fields["quantity"] = str(order.quantity // int(order.details.get("runs", "1")))
    return fields


def fields_sent(attempt: Attempt) -> dict[str, str]:
    """What goes out, with the attempt's id as the idempotency key; panels without the extension ignore it."""
    return fields_of(attempt.order, attempt.kind) | {"idempotency_key": str(attempt.id)}


class Record(msgspec.Struct, frozen=True):
    """What goes into the attempt row."""

    state: str
    reason: str | None = None
    evidence: dict[str, str] | None = None
    upstream_id: str | None = None


def record_of(outcome: AddOutcome) -> Record:
    match outcome:
        case Accepted(order):
            return Record("accepted", upstream_id=order)
        case Refused(Fault.PASSING, text):
            return Record("not_sent", storable(text), {"fault": Fault.PASSING.value})
        case Refused(fault, text):
            about = {"bad_request": "yes"} if is_bad_request(text) else {}
            return Record("refused", storable(text), {"fault": fault.value} | about)
        case NotSent(reason):
            return Record("not_sent", storable(reason))
        case Unknown(reason, evidence):
            return Record("unknown", storable(reason), {"answer": storable(evidence)} if evidence else None)


def storable(text: str, chars_max: int = EVIDENCE_CHARS_MAX) -> str:
    """What PostgreSQL can store of an upstream's bytes: no NUL, no half of a surrogate pair, no end without end."""
    return text[:chars_max].replace("\x00", " ").encode("utf-8", "replace").decode()
