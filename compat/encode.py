"""Replies of the panel protocol, written strictly: exactly the members and types of protocol §1."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from compat.errors import INCORRECT_ORDER, REFILL_NOT_FOUND, PanelError
from compat.money import format_amount, format_rate
from compat.status import PanelStatus
from compat.wire import Balance, OrderStatus, RefillStatus, Service, SubscriptionStatus

Status = OrderStatus | SubscriptionStatus
Asked = Sequence[tuple[str, int | None]]
"""Ids as they were sent, each with its number; None for one that cannot be ours."""

_encode = msgspec.json.Encoder().encode


def encode_error(text: str, placed: bool | None = None) -> bytes:
    """A refusal; `placed` False says that nothing was written (protocol §6)."""
    return _encode({"error": text} if placed is None else {"error": text, "placed": placed})


def encode_services(services: Iterable[Service]) -> bytes:
    """The list of services: numbers, strings and booleans exactly as protocol §1 has them.

    `average_time` is written only where something is said of it.
    """
    return _encode([_service(service) for service in services])


def _service(service: Service) -> dict[str, object]:
    number = service.service
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) <= 18:
        number = int(number)
    row: dict[str, object] = {
        "service": number,
        "name": service.name,
        "type": service.type,
        "category": service.category,
        "rate": format_rate(service.rate),
        "min": str(service.min),
        "max": str(service.max),
        "refill": service.refill,
        "cancel": service.cancel,
        "dripfeed": service.dripfeed,
        "desc": service.desc,
    }
    if service.average_time is not None:
        row["average_time"] = service.average_time
    return row


def encode_added(number: int) -> bytes:
    """The reply to an `add` that was taken."""
    return b'{"order":%d}' % number


def encode_status(status: Status) -> bytes:
    """The reply to `status` of one order."""
    return _encode(_status(status))


def _status(status: Status) -> dict[str, object]:
    """A start that is not known is "0"; Partial with nothing left is Completed (§4)."""
    if isinstance(status, SubscriptionStatus):
        return {
            "status": status.status.value,
            "expiry": status.expiry,
            "posts": str(status.posts),
            "orders": [str(order) for order in status.orders],
        }
    word = status.status
    if word is PanelStatus.PARTIAL and status.remains == 0:
        word = PanelStatus.COMPLETED
    reply: dict[str, object] = {
        "charge": format_amount(status.charge),
        "start_count": str(status.start_count or 0),
        "status": word.value,
        "remains": str(status.remains),
        "currency": status.currency,
    }
    if status.runs is not None:
        reply |= {"runs": str(status.runs), "orders": list(status.orders or ())}
    return reply


def encode_statuses(ids: Asked, found: Mapping[int, Status]) -> bytes:
    """The reply to `status` of many: a map by id as sent, with what was not found marked as incorrect."""
    reply: dict[str, dict[str, object]] = {}
    for sent, number in ids:
        status = found.get(number) if number is not None else None
        if number is None or status is None:
            reply[sent] = {"error": INCORRECT_ORDER}
        else:
            reply[sent] = {"order": number, **_status(status)}
    return _encode(reply)


def encode_balance(balance: Balance) -> bytes:
    """The reply to `balance`; `idempotency` is written only where it is offered (protocol §6)."""
    reply: dict[str, object] = {"balance": format_amount(balance.balance), "currency": balance.currency}
    if balance.idempotency:
        reply["idempotency"] = True
    return _encode(reply)


def encode_refill(number: int) -> bytes:
    """The reply to `refill` of one order: a string."""
    return _encode({"refill": str(number)})


def encode_refills(ids: Asked, answers: Mapping[int, int | PanelError]) -> bytes:
    """The reply to `refill` of many: an array, each with its refill's number or its own error."""
    return _encode([{"order": _named(sent, number), "refill": _element(answers, number)} for sent, number in ids])


def encode_cancels(ids: Asked, answers: Mapping[int, PanelError | None]) -> bytes:
    """The reply to `cancel`: an array, 1 for each wish that was taken."""
    taken = {number: 1 if answer is None else answer for number, answer in answers.items()}
    return _encode([{"order": _named(sent, number), "cancel": _element(taken, number)} for sent, number in ids])


def encode_refill_status(status: RefillStatus) -> bytes:
    """The reply to `refill_status` of one refill."""
    return _encode({"status": status.value})


def encode_refill_statuses(ids: Asked, found: Mapping[int, RefillStatus]) -> bytes:
    """The reply to `refill_status` of many: an array, with what was not found marked."""
    missing = {"error": REFILL_NOT_FOUND}
    return _encode(
        [
            {
                "refill": _named(sent, number),
                "status": found[number].value if number is not None and number in found else missing,
            }
            for sent, number in ids
        ]
    )


def _element(answers: Mapping[int, int | PanelError], number: int | None) -> object:
    answer = answers.get(number) if number is not None else None
    if isinstance(answer, int):
        return answer
    return {"error": answer.text if answer is not None else INCORRECT_ORDER}


def _named(sent: str, number: int | None) -> int | str:
    """The id as a number, as all that we hand out; one that cannot be ours is given back as it came."""
    return sent if number is None else number
