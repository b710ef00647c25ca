"""What an upstream's JSON says of orders, refills and cancels, read as tolerantly as protocol §5 asks; pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from compat.replies import ORDER_NAMES, read_refusal
from compat.status import parse_status
from compat.values import read_amount, read_flag, read_id, read_text, read_whole
from compat.wire import CancelAnswer, RefillAnswer, RefillReport, RefillStatus, UpstreamReport

T = TypeVar("T")

RUNS_MAX = 20_000
"""Runs or posts that are read of one order; a subscription with an open number of them has no end."""
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_REFILL_WORDS = {"".join(status.value.casefold().split()): status for status in RefillStatus}
_CANCELED = ("canceled", "cancelled")
_TAKEN_WORDS = frozenset({*_CANCELED, "cancel", "ok", "success", "done", "accepted", "pending"})


def read_statuses(reply: object, asked: Iterable[str]) -> dict[str, UpstreamReport]:
    """The reports on the ids asked about; those that the reply leaves out or garbles are left out.

    Raises:
        ValueError: neither a map nor a list.
    """
    wanted = set(asked)
    if not isinstance(reply, dict | list):
        raise ValueError("neither a map nor a list of statuses")
    reports: dict[str, UpstreamReport] = {}
    for order, value in _status_rows(reply, wanted):
        report = _report(value)
        if order in wanted and report is not None:
            reports.setdefault(order, report)
    return reports


def _status_rows(reply: dict[object, object] | list[object], wanted: set[str]) -> Iterator[tuple[str, object]]:
    """Each element with the id that it is about, by its key or else by what it says itself."""
    if isinstance(reply, dict):
        inner = next((reply[name] for name in ("orders", "data") if name in reply), None)
        if isinstance(inner, dict | list):
            rows = [row for row in _status_rows(inner, wanted) if row[0] in wanted]
            yield from rows
            if rows and len(wanted) == 1:
                return
        if len(wanted) == 1 and "status" in reply and not isinstance(reply["status"], dict):
            named = _named_order(reply, ORDER_NAMES)
            if named is None or named in wanted:
                yield next(iter(wanted)), reply
            return
    pairs = reply.items() if isinstance(reply, dict) else ((None, value) for value in reply)
    for key, value in pairs:
        named = _named_order(value)
        if isinstance(key, str) and key.strip() in wanted:
            if named is None or named == key.strip():
                yield key.strip(), value
        elif named is not None:
            yield named, value


def _named_order(value: object, names: Sequence[str] = (*ORDER_NAMES, "id")) -> str | None:
    if not isinstance(value, dict):
        return None
    for name in names:
        if name in value and (order := read_id(value[name])) is not None:
            return order
    return None


def _report(value: object) -> UpstreamReport | None:
    if isinstance(value, str):
        return UpstreamReport(error=read_text(value))
    if not isinstance(value, dict):
        return None
    refusal = read_refusal(value)
    if refusal is not None:
        return UpstreamReport(error=refusal.text or "an error without words")
    word = value.get("status")
    charge = read_amount(value.get("charge"))
    currency = read_text(value.get("currency")).upper()
    started = value.get("start_count")
    return UpstreamReport(
        word="" if word is None else read_text(word)[:100],
        status=parse_status(word),
        charge=charge if charge is not None and charge >= 0 else None,
        start_count=read_whole(started if started is not None else value.get("start_counter")),
        remains=read_whole(value.get("remains")),
        currency=currency if _CURRENCY.fullmatch(currency) else None,
        quantity=read_whole(value.get("quantity")),
        orders=_runs(value.get("orders")),
    )


def _runs(value: object) -> tuple[str, ...]:
    """Distinct ids of a list, of a map, or of a text with commas.

    A map has them as its keys, unless its values are numbers: PHP writes a list with gaps as a map.
    """
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | dict):
        return ()
    if isinstance(value, dict) and all((read_id(item) or "").isdigit() for item in value.values()):
        value = list(value.values())
    ids = (read_id(item) or _named_order(item) for item in list(value)[:RUNS_MAX])
    return tuple(dict.fromkeys(run for run in ids if run is not None))


# refills and cancels -------------------------------------------------------------------------


def read_refill(reply: object, asked: str) -> RefillAnswer:
    """The answer to `refill` of one order: an id, or an error, also a nested one.

    Raises:
        ValueError: neither, or of another order.
    """
    if isinstance(reply, list) and len(reply) == 1:
        reply = reply[0]
    if _is_of_another(reply, ORDER_NAMES, asked):
        raise ValueError("the answer names another order")
    return _refill_of(reply.get("refill", reply.get("refill_id")) if isinstance(reply, dict) else reply)


def read_refills(reply: object, asked: Iterable[str]) -> dict[str, RefillAnswer]:
    """The answers to `refill` of many; those left out or garbled are left out.

    Raises:
        ValueError: neither a list nor a map.
    """
    return _read_each(reply, asked, "refill", ("order", "order_id", "id"), _refill_of)


def _refill_of(value: object) -> RefillAnswer:
    refill = read_id(value)
    if refill is not None:
        return RefillAnswer(refill=refill)
    refusal = read_refusal(value)
    if refusal is None:
        raise ValueError("neither a refill nor an error")
    return RefillAnswer(error=refusal.text or "an error without words")


def read_refill_statuses(reply: object, asked: Sequence[str]) -> dict[str, RefillReport]:
    """The reports on the refills asked about, of one as of many.

    Raises:
        ValueError: neither a list nor a map.
    """
    if isinstance(reply, dict) and len(asked) == 1 and "status" in reply:
        if _is_of_another(reply, ("refill", "refill_id"), asked[0]):
            return {}
        return {asked[0]: _refill_report(reply["status"])}
    return _read_each(reply, asked, "status", ("refill", "refill_id", "id"), _refill_report)


def _refill_report(value: object) -> RefillReport:
    if isinstance(value, dict):
        refusal = read_refusal(value)
        return RefillReport(error=refusal.text if refusal is not None and refusal.text else "an error without words")
    word = read_text(value)[:100]
    return RefillReport(word=word, status=_REFILL_WORDS.get(re.sub(r"[\s_-]+", "", word.casefold())))


def read_cancels(reply: object, asked: Sequence[str]) -> dict[str, CancelAnswer]:
    """The answers to `cancel`: a list or map of them, or a list of those that were cancelled.

    Beside such a list, `errors` may say by id why the others were not.

    Raises:
        ValueError: none of these.
    """
    if isinstance(reply, dict):
        done = _canceled_of(reply)
        if done is not None:
            taken = {read_id(item) for item in done}
            errors = reply.get("errors")
            refused = _read_each(errors, asked, "error", ORDER_NAMES, _not_canceled) if isinstance(errors, dict) else {}
            return refused | {order: CancelAnswer() for order in asked if order in taken}
        if len(asked) == 1 and "cancel" in reply and not isinstance(reply["cancel"], list):
            if _is_of_another(reply, ORDER_NAMES, asked[0]):
                return {}
            return {asked[0]: _cancel_of(reply["cancel"])}
    return _read_each(reply, asked, "cancel", ("order", "order_id", "id"), _cancel_of)


def is_cancel_of_some(reply: object) -> bool:
    """Whether it lists orders that were cancelled, whatever errors it names beside them."""
    done = _canceled_of(reply) if isinstance(reply, dict) else None
    return isinstance(reply, dict) and done is not None and (bool(done) or isinstance(reply.get("errors"), dict))


def _canceled_of(reply: Mapping[str, object]) -> list[object] | None:
    return next((value for name in _CANCELED if isinstance(value := reply.get(name), list)), None)


def _not_canceled(value: object) -> CancelAnswer:
    return CancelAnswer(error=read_text(value) or "an error without words")


def _cancel_of(value: object) -> CancelAnswer:
    """Taken where it is a number, true, or one of the words for it; any other text is why not."""
    refusal = read_refusal(value)
    if refusal is not None and not (isinstance(value, str) and _is_yes(value)):
        return CancelAnswer(error=refusal.text or "an error without words")
    if value in (None, False, 0, "", "0"):
        return CancelAnswer(error="not cancelled")
    return CancelAnswer()


def _is_yes(text: str) -> bool:
    is_id = read_id(text) is not None and any(letter.isdigit() for letter in text)
    return is_id or text.strip() == "0" or read_flag(text) or text.strip().casefold() in _TAKEN_WORDS


def _is_of_another(reply: object, names: Sequence[str], asked: str) -> bool:
    """Whether it names something else than what was asked about; it need name nothing."""
    if not isinstance(reply, dict):
        return False
    named = next((found for name in names if (found := read_id(reply.get(name))) is not None), None)
    return named is not None and named != asked


def _read_each(
    reply: object, asked: Iterable[str], member: str, names: Sequence[str], read: Callable[[object], T]
) -> dict[str, T]:
    """Each element by the id that it names, or by its key in a map; what cannot be read is left out."""
    if isinstance(reply, dict):
        reply = reply.get("data", reply)
    if isinstance(reply, dict):
        rows = [{names[0]: key, member: _member(value, member)} for key, value in reply.items()]
    elif isinstance(reply, list):
        rows = [row for row in reply if isinstance(row, dict)]
    else:
        raise ValueError("neither a list nor a map of answers")
    wanted = set(asked)
    found: dict[str, T] = {}
    for row in rows:
        named = next((order for name in names if (order := read_id(row.get(name))) is not None), None)
        if named not in wanted or named is None:
            continue
        try:
            found.setdefault(named, read(_member(row, member)))
        except ValueError:
            continue
    return found


def _member(value: object, member: str) -> object:
    """What a row says: its member, else the row itself, which may be an error."""
    return value[member] if isinstance(value, Mapping) and member in value else value
