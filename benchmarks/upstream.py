"""An upstream panel over raw sockets: it speaks the protocol, keeps all that it took, and is not the limit.

The simulator is made to be at fault in every way, on a web framework; `behind` shows which of the two a bare client
is held up by.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs

from benchmarks.posts import answering_posts

KEY = "upstream-key-of-the-bench"
FLOOR_KEY = "upstream-key-of-the-floor"
"""Orders under it are answered alike and kept nowhere."""
QUANTITY = 100
SERVICES = (
    b'[{"service":1,"name":"Likes","type":"Default","category":"Likes","rate":"0.5","min":"1","max":"1000000",'
    b'"refill":false,"cancel":false}]'
)
BALANCE = b'{"balance":"1000000","currency":"USD"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Arrival(NamedTuple):
    """An order as it came: its number here, and when, in seconds of the time of day."""

    number: int
    at: float


class State(NamedTuple):
    """What is said of an order."""

    word: str
    remains: int


Tell = Callable[[int], State]


def going_on(remains: int) -> Tell:
    state = State("In progress", remains)
    return lambda number: state


def ended(number: int) -> State:
    """Of twenty orders one ends in part and one is canceled, the others are delivered."""
    match number % 20:
        case 0:
            return State("Partial", QUANTITY // 2)
        case 1:
            return State("Canceled", QUANTITY)
        case _:
            return State("Completed", 0)


class Panel:
    """`arrivals` has every order by its link, as often as it came; `said` the last word on each."""

    def __init__(self) -> None:
        self.url = ""
        self.arrivals: dict[str, list[Arrival]] = {}
        self.said: dict[int, State] = {}
        self.asked: list[float] = []
        """When each state was asked for, by the clock of processes."""
        self.tell: Tell = going_on(QUANTITY)
        self._last = 100_000
        self._floor = 0

    def arrived(self) -> int:
        """Orders, each as often as it came."""
        return self._last - 100_000

    def answer(self, body: bytes) -> bytes:
        if b"action=add&" in body and body.endswith(FLOOR_KEY.encode()):
            self._floor += 1
            return b'{"order":%d}' % self._floor
        fields = {name: value for name, [value] in parse_qs(body.decode()).items()}
        if fields.get("key") != KEY:
            return b'{"error":"Invalid API key"}'
        match fields.get("action"):
            case "add":
                return self._add(fields)
            case "status":
                return self._status(fields)
            case "services":
                return SERVICES
            case "balance":
                return BALANCE
            case _:
                return b'{"error":"Incorrect request"}'

    def _add(self, fields: dict[str, str]) -> bytes:
        self._last += 1
        self.arrivals.setdefault(fields["link"], []).append(Arrival(self._last, time.time()))
        return b'{"order":%d}' % self._last

    def _status(self, fields: dict[str, str]) -> bytes:
        numbers = [int(text) for text in fields["orders"].split(",")]
        self.asked += [time.perf_counter()] * len(numbers)
        said = []
        for number in numbers:
            word, remains = self.said[number] = self.tell(number)
            said.append(
                f'"{number}":{{"charge":"0.05","start_count":"10","status":"{word}","remains":"{remains}",'
                '"currency":"USD"}'
            )
        return f"{{{','.join(said)}}}".encode()


@asynccontextmanager
async def open_panel() -> AsyncIterator[Panel]:
    panel = Panel()

    def answer(_head: bytes, body: bytes) -> bytes:
        said = panel.answer(body)
        return HEAD % len(said) + said

    async with answering_posts(answer) as address:
        panel.url = f"{address}/api/v2"
        yield panel
