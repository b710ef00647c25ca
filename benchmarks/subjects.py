"""The subjects: what resellers ask the gateway for, and what they are refused."""

from collections.abc import Iterable

from benchmarks.contenders import Asked
from benchmarks.cores import Cores
from benchmarks.load import Ask, form
from benchmarks.stage import port_of
from benchmarks.stock import QUANTITY, Reseller, Stock
from gateway.accounts.model import new_key
from tests.support.processes import Running

REQUESTS = 1000
NEW_KEYS = 60_000
"""More than are asked for in one sample, before whose next they are forgotten: who guesses guesses no key twice."""
FORM = {"key": "yb_" + "x" * 36, "action": "add", "service": "12", "quantity": "1000"}
"""What the floors are asked."""

_PLACED = (b'200 {"order":',)
_STATUS = (b'200 {"charge":',)
_MANY = tuple(b'200 {"%d' % digit for digit in range(10))
_WRONG_KEY = (b'200 {"error":"Invalid API key"}',)
_NO_FUNDS = (b'200 {"error":"Not enough funds',)
_LIMITED = (b'429 {"error":"Too many', b'200 {"balance"')
"""The one request a minute that the key has is answered."""


def floor(name: str, server: Running, cores: Cores, connections: int, begins: bytes = b'200 {"order":') -> Asked:
    return Asked(name, server, cores, Ask([form(port_of(server), FORM)], (begins,)), connections=connections)


def subjects(api: Running, cores: Cores, stock: Stock, connections: int) -> list[Asked]:
    """All of one gateway, in the order of the goals."""
    port = port_of(api)
    wrong = [{"key": new_key(), "action": "balance"} for _ in range(REQUESTS)]
    guessed = [{"key": new_key(), "action": "balance"} for _ in range(NEW_KEYS)]
    limited = [{"key": reseller.key, "action": "balance"} for reseller in stock.exhausted]
    asks = {
        "status": _ask(port, _status_of(stock.crowd), _STATUS),
        "status_100": _ask(port, _status_of_many(stock.askers), _MANY),
        "add": _ask(port, _adds(stock, stock.crowd), _PLACED),
        "add_hot_wallet": _ask(port, _adds(stock, [stock.hot]), _PLACED),
        "services": _ask(port, [{"key": stock.hot.key, "action": "services"}], (b'200 [{"service":',)),
        "wrong_key": _ask(port, wrong, _WRONG_KEY),
        "new_wrong_key": _ask(port, guessed, _WRONG_KEY),
        "limit_reached": _ask(port, limited, _LIMITED),
        "no_funds": _ask(port, _adds(stock, stock.broke), _NO_FUNDS),
    }
    return [
        Asked(name, api, cores, ask, connections=connections, places=name.startswith("add"))
        for name, ask in asks.items()
    ]


def add_by_the_clock(api: Running, cores: Cores, stock: Stock, connections: int, a_second: float) -> Asked:
    """The open loop of orders by the crowd."""
    ask = _ask(port_of(api), _adds(stock, stock.crowd), _PLACED)
    return Asked("add_open", api, cores, ask, connections=connections, places=True, a_second=a_second)


def services_request(api: Running, stock: Stock) -> bytes:
    return form(port_of(api), {"key": stock.hot.key, "action": "services"})


def _ask(port: int, forms: Iterable[dict[str, str]], begins: tuple[bytes, ...]) -> Ask:
    return Ask([form(port, fields) for fields in forms], begins)


def _status_of(resellers: list[Reseller]) -> Iterable[dict[str, str]]:
    for reseller in resellers:
        yield {"key": reseller.key, "action": "status", "order": str(reseller.orders[0])}


def _status_of_many(resellers: list[Reseller]) -> Iterable[dict[str, str]]:
    for reseller in resellers:
        yield {"key": reseller.key, "action": "status", "orders": ",".join(map(str, reseller.orders))}


def _adds(stock: Stock, resellers: list[Reseller]) -> Iterable[dict[str, str]]:
    """Each with a link of its own."""
    fields = {"action": "add", "service": str(stock.service.number), "quantity": str(QUANTITY)}
    for at in range(REQUESTS):
        reseller = resellers[at % len(resellers)]
        yield {"key": reseller.key, **fields, "link": f"https://example.com/p/{at}"}
