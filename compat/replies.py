"""What an upstream's JSON means, read as tolerantly as protocol §5 asks; pure, no I/O."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from compat.errors import TOO_MANY_REQUESTS, Fault, fault_of, fold
from compat.money import parse_amount
from compat.values import TEXT_CHARS_MAX, read_amount, read_flag, read_id, read_text, read_whole
from compat.wire import Accepted, AddOutcome, Balance, NotSent, Refused, Service, Unknown

ORDER_NAMES = ("order", "order_id", "orderId")
_ERROR_NAMES = ("error", "errors")
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_NO_ERROR: tuple[object, ...] = (None, "", False)
"""Under a name for errors, 0 is equal to False and so none either; as an order's id it is a value."""
_NO_ORDERS = frozenset(
    {"null", "none", "nil", "undefined", "nan", "true", "false", "error", "fail", "failed", "ok", "success"}
)
"""What software writes where it has no id; an order bound to such a word would never be heard of again."""
_DESC_CHARS_MAX = 10_000
UNKNOWN_WORDS = "an error in unknown words"
"""The reason of an `Unknown` that can be taught away."""
_UNTAUGHT: Mapping[str, Fault] = {}


class Refusal(msgspec.Struct, frozen=True):
    """An error that an upstream sent. `fault` is None where its words are not known, or not words."""

    text: str
    fault: Fault | None


class ServiceList(list[Service]):
    """The services that could be read; `skipped` counts the rows that could not, copies included."""

    skipped: int = 0


def parse_json(body: bytes) -> object:
    """The JSON in a reply, a byte order mark before it forgiven.

    Raises:
        ValueError: not JSON, nested too deep, or with numbers out of range.
    """
    try:
        decoded: object = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return decoded


# add -----------------------------------------------------------------------------------------


def classify_add(
    status: int, body: bytes, *, honours_extension: bool = False, taught: Mapping[str, Fault] = _UNTAUGHT
) -> AddOutcome:
    """What a whole reply to `add` means (design §5); an `Unknown` has no evidence yet.

    `taught` are words of this panel, as `fold` spells them, with what they mean; they go before ours.
    """
    try:
        reply = parse_json(body)
    except ValueError:
        return Unknown(f"HTTP {status} and a body that is not JSON")
    if status == 503 and honours_extension and isinstance(reply, dict) and reply.get("placed") is False:
        return _not_placed(reply)
    if status >= 500 or 300 <= status < 400:
        return Unknown(f"HTTP {status}")
    refusal = read_refusal(reply, taught)
    ids = _order_ids(reply)
    if refusal is not None:
        return Unknown("both an order and an error") if ids else _refused(status, refusal)
    if status != 200:
        return Unknown(f"HTTP {status} without an error")
    if len(ids) != 1:
        return Unknown("several order ids" if ids else "neither an order nor an error")
    order = read_id(ids[0])
    if order is None or order.casefold() in _NO_ORDERS:
        return Unknown("an order id that cannot be one")
    return Accepted(order)


def _not_placed(reply: Mapping[str, object]) -> AddOutcome:
    """A 503 sent before anything was written (protocol §6), unless it names an order all the same."""
    if _order_ids(reply):
        return Unknown("both an order and an error")
    return NotSent("the upstream says that nothing was placed")


def _refused(status: int, refusal: Refusal) -> AddOutcome:
    fault = refusal.fault
    if fault is None and status == 429:
        fault = Fault.PASSING
    if fault is None:
        return Unknown(UNKNOWN_WORDS)
    return Refused(fault, refusal.text or TOO_MANY_REQUESTS)


def _order_ids(reply: object) -> list[object]:
    """Every distinct value under a name that order ids have; null, empty and false are no value."""
    if not isinstance(reply, dict):
        return []
    places = [reply[name] for name in ORDER_NAMES if name in reply]
    data = reply.get("data")
    if isinstance(data, dict):
        places += [data[name] for name in ORDER_NAMES if name in data]
    if not places and "id" in reply:
        places = [reply["id"]]
    found: dict[str, object] = {}
    for value in places:
        if not any(value is none or value == "" for none in _NO_ERROR):
            found.setdefault(read_id(value) or repr(value), value)
    return list(found.values())


# errors --------------------------------------------------------------------------------------


def read_refusal(reply: object, taught: Mapping[str, Fault] = _UNTAUGHT) -> Refusal | None:
    """The error in a reply: `error` as text or a list of texts, a failing `status` with `msg`, a bare string."""
    if isinstance(reply, str):
        return _refusal_of([reply], taught)
    if not isinstance(reply, dict):
        return None
    for name in _ERROR_NAMES:
        value = reply.get(name)
        if value not in (*_NO_ERROR, [], {}):
            return _refusal_of(value if isinstance(value, list) else [value], taught)
    message = reply.get("msg", reply.get("message"))
    failed = reply.get("success") is False or (
        message is not None and fold(str(reply.get("status", ""))[:32]) in ("error", "fail", "failed")
    )
    return _refusal_of([message if message is not None else ""], taught) if failed else None


def _refusal_of(values: Sequence[object], taught: Mapping[str, Fault]) -> Refusal:
    texts = [read_text(value) for value in values if isinstance(value, str)]
    faults = [taught.get(fold(text)) or fault_of(text) for text in texts]
    whole = all(isinstance(value, str) and len(value) <= TEXT_CHARS_MAX for value in values)
    known = whole and bool(faults) and None not in faults
    return Refusal("; ".join(texts)[:TEXT_CHARS_MAX], faults[0] if known else None)


# services and balance ------------------------------------------------------------------------


def read_services(reply: object) -> ServiceList:
    """The services in a list, a map by id, or either of them under `services` or `data`.

    Raises:
        ValueError: no such thing, or rows of which not one can be read.
    """
    for _ in range(2):
        if isinstance(reply, dict):
            reply = next((reply[name] for name in ("services", "data") if name in reply), reply)
    if isinstance(reply, dict):
        reply = [{"service": key, **row} if isinstance(row, dict) else row for key, row in reply.items()]
    if not isinstance(reply, list):
        raise ValueError("no list of services")
    services = ServiceList()
    seen: set[str] = set()
    for row in reply:
        service = read_service(row)
        if service is not None and str(service.service) not in seen:
            seen.add(str(service.service))
            services.append(service)
    services.skipped = len(reply) - len(services)
    if reply and not services:
        raise ValueError("not one service can be read")
    return services


def read_service(row: object) -> Service | None:
    """One row; None without an id, a name, a rate or a range of quantities that make sense."""
    if not isinstance(row, dict):
        return None
    number = read_id(row.get("service", row.get("id")))
    name = read_text(row.get("name"))
    rate = read_amount(row.get("rate"))
    least, most = read_whole(row.get("min")), read_whole(row.get("max"))
    if number is None or not name or rate is None or rate < 0:
        return None
    if least is None or most is None or not 0 <= least <= most:
        return None
    return Service(
        service=int(number) if number.isdigit() and not number.startswith("0") else number,
        name=name,
        type=read_text(row.get("type")) or "Default",
        category=read_text(row.get("category")),
        rate=rate,
        min=least,
        max=most,
        refill=read_flag(row.get("refill")),
        cancel=read_flag(row.get("cancel")),
        dripfeed=read_flag(row.get("dripfeed")),
        desc=read_text(row.get("desc", row.get("description")), _DESC_CHARS_MAX),
    )


def read_balance(reply: object) -> Balance:
    """The balance, also under `data`; the currency is empty where none of three letters is named.

    Raises:
        ValueError: no balance in it.
    """
    if isinstance(reply, dict) and "balance" not in reply:
        reply = reply.get("data")
    if not isinstance(reply, dict):
        raise ValueError("no balance")
    currency = read_text(reply.get("currency")).upper()
    return Balance(
        balance=parse_amount(reply.get("balance")),
        currency=currency if _CURRENCY.fullmatch(currency) else "",
        idempotency=reply.get("idempotency") is True,
    )
