"""What a panel supports and how it differs from the protocol, found out without spending (protocol §1 to §4, §6)."""

from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
from msgspec.structs import replace
from yarl import URL

from compat.dialects import DIALECTS, STANDARD
from compat.kinds import parse_kind
from compat.probe_calls import Answer, AnyPanel
from compat.replies import read_refusal
from compat.reports import read_statuses
from compat.transport import mask

NOBODYS_ORDER = "2147483646"
"""An id that no panel has given out yet."""
FOUND_CHARS_MAX = 200
_SERVICE_TYPES: dict[str, tuple[type, ...]] = {
    "service": (int,), "name": (str,), "type": (str,), "category": (str,), "rate": (str,), "min": (str,),
    "max": (str,), "refill": (bool,), "cancel": (bool,), "dripfeed": (bool,),
}  # fmt: skip


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `passed` is None where the panel gave no chance to tell."""

    what: str
    passed: bool | None
    found: str
    time_ms: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All rows, asked in the dialect that the panel takes; None, and the standard one, where none gets an answer."""

    url: str
    dialect: str | None
    rows: list[Row]


async def probe(url: str, key: str, *, order: tuple[str, str, str] | None = None, timeout_s: float = 10.0) -> Report:
    """Look at a panel; whatever it answers becomes a row, and one that does not answer is a single row.

    `order` (service, link, quantity) is paid for. The rows are what the panel says in the dialect that it
    was found to take; those about bodies and keys are the same calls made in another way.

    Raises:
        ValueError: the address is not one of a panel.
    """
    address = URL(url)
    if address.scheme not in ("http", "https") or not address.host:
        raise ValueError("the address of a panel begins with http:// or https://")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        panel = AnyPanel(session, url, key, timeout_s)
        first = await panel.ask("balance")
        if first.status == 0:
            return Report(url=url, dialect=None, rows=[_masked(key, _row("balance", first, False, ""))])
        found = await _dialect(panel)
        panel.dialect = DIALECTS[found] if found else STANDARD
        rows: list[Row] = []
        for look in (_balance, _services, _refusals, _orders, _bodies):
            rows += await look(panel)
        if order is not None:
            rows += await _paid(panel, order)
        return Report(url=url, dialect=found, rows=[_masked(key, row) for row in rows])


def _masked(key: str, row: Row) -> Row:
    """The row without the key, which a panel may echo."""
    return replace(row, found=mask(row.found, key)[:FOUND_CHARS_MAX])


def _row(what: str, answer: Answer, passed: bool | None, found: str) -> Row:
    failed = bool(answer.problem)
    return Row(
        what=what,
        passed=False if failed else passed,
        found=answer.problem if failed else found,
        time_ms=answer.time_ms,
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _balance(panel: AnyPanel) -> list[Row]:
    answer = await panel.ask("balance")
    reply = answer.value if isinstance(answer.value, dict) else {}
    exact = isinstance(reply.get("balance"), str) and isinstance(reply.get("currency"), str)
    plain = answer.content_type.partition(";")[0].strip() == "application/json"
    offers = reply.get("idempotency") is True
    return [
        _row("balance", answer, answer.status == 200 and exact, _text(answer.value)),
        _row("content type", answer, plain, answer.content_type or "none"),
        _row("idempotency keys", answer, True if offers else None, "offered" if offers else "not offered"),
    ]


async def _services(panel: AnyPanel) -> list[Row]:
    answer = await panel.ask("services")
    rows = answer.value if isinstance(answer.value, list) else []
    good = [row for row in rows if isinstance(row, dict)]
    odd = sorted(
        {
            f"{name} is {'absent' if name not in row else type(row[name]).__name__}"
            for row in good
            for name, types in _SERVICE_TYPES.items()
            if not isinstance(row.get(name), types) or (types == (int,) and isinstance(row[name], bool))
        }
    )
    strange = sorted({str(row.get("type"))[:40] for row in good if parse_kind(str(row.get("type"))) is None})
    shape = f"{len(good)} services" if rows or answer.value == [] else f"{type(answer.value).__name__}, not a list"
    return [
        _row("services", answer, answer.status == 200 and isinstance(answer.value, list), shape),
        _row("types of services", answer, None if not good else not odd, "; ".join(odd) or "as written"),
        _row("kinds of services", answer, None if not good else not strange, "; ".join(strange) or "all known"),
    ]


async def _refusals(panel: AnyPanel) -> list[Row]:
    asked: list[tuple[str, Awaitable[Answer], str]] = [
        ("wrong key", panel.ask("balance", key="not-a-key"), "Invalid API key"),
        ("unknown action", panel.ask("dance"), "Incorrect request"),
        ("status of no order", panel.ask("status", {"order": NOBODYS_ORDER}), "Incorrect order ID"),
        ("refill of no order", panel.ask("refill", {"order": NOBODYS_ORDER}), "Incorrect order ID"),
        ("refill_status of no refill", panel.ask("refill_status", {"refill": NOBODYS_ORDER}), "Refill not found"),
    ]
    rows = []
    for what, asking, words in asked:
        answer = await asking
        refusal = read_refusal(answer.value)
        rows.append(
            _row(what, answer, answer.value == {"error": words}, refusal.text if refusal else _text(answer.value))
        )
    return rows


async def _orders(panel: AnyPanel) -> list[Row]:
    ids = [NOBODYS_ORDER, str(int(NOBODYS_ORDER) - 1)]
    many_action = panel.dialect.many_action or "status"
    many = await panel.ask(many_action, {"orders": ",".join(ids)})
    refused = {"error": "Incorrect order ID"}
    refills = await panel.ask("refill", {"orders": ",".join(ids)})
    cancels = await panel.ask("cancel", {"orders": ",".join(ids)})
    hundred = ",".join(str(int(NOBODYS_ORDER) - place) for place in range(100))
    batch = await panel.ask(many_action, {"orders": hundred})
    return [
        _row("status of many", many, many.value == dict.fromkeys(ids, refused), _text(many.value)),
        _row("status of 100", batch, isinstance(batch.value, dict) and len(batch.value) == 100, _shape(batch.value)),
        _row(
            "refill of many",
            refills,
            refills.value == [{"order": int(order), "refill": refused} for order in ids],
            _text(refills.value),
        ),
        _row(
            "cancel",
            cancels,
            cancels.value == [{"order": int(order), "cancel": refused} for order in ids],
            _text(cancels.value),
        ),
    ]


def _shape(value: object) -> str:
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, dict | list) else _text(value)


async def _bodies(panel: AnyPanel) -> list[Row]:
    def is_balance(answer: Answer) -> bool:
        return answer.status == 200 and isinstance(answer.value, dict) and "balance" in answer.value

    asked: list[tuple[str, Callable[[], Awaitable[Answer]]]] = [
        ("JSON body", lambda: panel.ask("balance", dialect=replace(panel.dialect, body="json"))),
        ("multipart body", lambda: panel.ask_otherwise("POST", multipart=True)),
        ("fields in the query", lambda: panel.ask_otherwise("POST")),
        ("GET", lambda: panel.ask_otherwise("GET")),
        ("path with a slash at its end", lambda: panel.ask_otherwise("POST", "/")),
        ("api_token", lambda: panel.ask("balance", dialect=replace(panel.dialect, key="api_token"))),
        ("bearer token", lambda: panel.ask("balance", dialect=replace(panel.dialect, key="bearer"))),
    ]
    rows = []
    for what, ask in asked:
        answer = await ask()
        rows.append(_row(what, answer, is_balance(answer), "taken" if is_balance(answer) else _text(answer.value)))
    return rows


async def _dialect(panel: AnyPanel) -> str | None:
    """The first dialect of the table in which a balance and a status of many are answered."""
    for name, dialect in DIALECTS.items():
        balance = await panel.ask("balance", dialect=dialect)
        if not (isinstance(balance.value, dict) and "balance" in balance.value):
            continue
        if not dialect.many_action:
            return name
        ids = [NOBODYS_ORDER, str(int(NOBODYS_ORDER) - 1)]
        many = await panel.ask(dialect.many_action, {"orders": ",".join(ids)}, dialect=dialect)
        try:
            reports = read_statuses(many.value, ids)
        except ValueError:
            continue
        if reports:
            return name
    return None


async def _paid(panel: AnyPanel, order: tuple[str, str, str]) -> list[Row]:
    """One order, and its status alone and among many."""
    service, link, quantity = order
    added = await panel.ask("add", {"service": service, "link": link, "quantity": quantity})
    number = added.value.get("order") if isinstance(added.value, dict) else None
    rows = [_row("add", added, isinstance(number, int), _text(added.value))]
    if number is None or added.problem:
        return rows
    one = await panel.ask("status", {"order": str(number)})
    many = await panel.ask(panel.dialect.many_action or "status", {"orders": f"{number},{NOBODYS_ORDER}"})
    return [
        *rows,
        _row("status of the order", one, _is_status(one.value), _text(one.value)),
        _row("status among many", many, _is_status(_element(many.value, str(number))), _text(many.value)),
    ]


def _element(value: object, order: str) -> object:
    return value.get(order) if isinstance(value, dict) else None


def _is_status(value: object) -> bool:
    names = ("charge", "start_count", "status", "remains", "currency")
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)
