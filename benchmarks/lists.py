"""How long each list, search and filter of both APIs takes over a past of many months, asked by one client alone."""

import itertools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from benchmarks.cores import usage
from benchmarks.past.askers import Asker
from benchmarks.past.loading import Loaded
from benchmarks.past.model import Past
from benchmarks.past.values import PATHS, VALUES, Ids
from gateway.api.v1.operations import Operation
from gateway.api.v1.router import OPERATIONS

P99_MS_MAX = 20.0
SHAPE_S_MAX = 3.0
"""What one shape may take at most, however few of its requests were answered by then."""
LONG = ("list_orders", "admin_list_orders", "list_ledger", "admin_list_ledger")
"""Lists whose filters are also asked for in pairs."""
ASKS_UPSTREAM = ("admin_get_difference",)
"""What waits for a provider's own answer."""
DOCUMENTS = ("get_statement",)
"""What is as long as it is, and sent while it is read: timed until it begins, and then read to its end."""


class Taken(msgspec.Struct, frozen=True):
    """Of one shape of request. `retaken` where it was beyond the goal at first and is the better of two.

    `cost_ms` is the time of processors that a request took of all of us: this client, API and database.
    """

    shape: str
    requests: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    cost_ms: float
    retaken: bool = False


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    key: str
    form: dict[str, str] | None = None
    is_document: bool = False


class Shapes:
    """All requests that may be made, by shape; values are drawn from what is there."""

    def __init__(self, past: Past, loaded: Loaded, askers: Sequence[Asker], ids: Ids) -> None:
        self._past, self._loaded, self._askers, self._ids = past, loaded, askers, ids

    def all(self) -> Iterator[tuple[str, Callable[[random.Random], Request]]]:
        yield from self._of_panel()
        for operation in OPERATIONS:
            if operation.method != "GET" or operation.id in ASKS_UPSTREAM:
                continue
            for names in self._filters(operation):
                told = "&".join(names)
                shape = f"GET {operation.path}{'?' if told else ''}{told}"
                yield shape, lambda chance, operation=operation, names=names: self._native(operation, names, chance)

    def _of_panel(self) -> Iterator[tuple[str, Callable[[random.Random], Request]]]:
        forms: dict[str, Callable[[Asker], dict[str, str]]] = {
            "services": lambda _: {"action": "services"},
            "balance": lambda _: {"action": "balance"},
            "status": lambda asker: {"action": "status", "order": str(asker.number)},
            "status of 100": lambda asker: {"action": "status", "orders": ",".join(map(str, asker.numbers))},
            "refill_status": lambda asker: {"action": "refill_status", "refill": str(asker.refill)},
            "refill_status of 100": lambda asker: {
                "action": "refill_status",
                "refills": ",".join(map(str, asker.refills)),
            },
        }
        for name, form in forms.items():

            def make(chance: random.Random, name: str = name, form: Any = form) -> Request:
                asker = self._asker(chance, "refill" if "refill" in name else "number")
                return Request("POST", "/api/v2", asker.key, {"key": asker.key, **form(asker)})

            yield f"panel: {name}", make

    def _filters(self, operation: Operation) -> list[tuple[str, ...]]:
        """None, each alone, and of long lists each two; what is needed is always there."""
        if operation.query is None:
            return [()]
        fields = msgspec.structs.fields(operation.query)
        needed = tuple(field.name for field in fields if field.required)
        others = [field.name for field in fields if not field.required]
        found = [needed, *((*needed, name) for name in others)]
        if operation.id in LONG:
            found += [
                (*needed, *two)
                for two in itertools.combinations(others, 2)
                if "after" not in two and "limit" not in two
            ]
        return found

    def _asker(self, chance: random.Random, *having: str) -> Asker:
        able = [each for each in self._askers if all(getattr(each, name) is not None for name in having)]
        return chance.choice(able)

    def _native(self, operation: Operation, names: Sequence[str], chance: random.Random) -> Request:
        having = [name for name in ("refill", "webhook", "delivery") if "{" + name + "}" in operation.path]
        if operation.id == "list_refills":
            having = ["refill"]
        asker = self._asker(chance, *having)
        path = operation.path
        for name, make in PATHS.items():
            if "{" + name + "}" in path:
                path = path.replace("{" + name + "}", str(make(asker, chance, self._ids)))
        values = {name: self._value(operation, name, asker, chance) for name in names}
        if "until" in values and "since" in values:
            values["since"], values["until"] = sorted((values["since"], values["until"]))
        is_admin = operation.id.startswith("admin_")
        query = f"?{urlencode(values)}" if values else ""
        key = self._loaded.admin_key if is_admin else asker.key
        return Request(operation.method, path + query, key, is_document=operation.id in DOCUMENTS)

    def _value(self, operation: Operation, name: str, asker: Asker, chance: random.Random) -> object:
        make = VALUES.get((operation.id, name)) or VALUES.get(("", name))
        assert make is not None, f"no value for {name} of {operation.id}"
        return make(asker, chance, self._ids)


async def measure(url: str, shapes: Shapes, requests: int, *, again: bool) -> list[Taken]:
    """Each shape in turn, one request behind the other; where `again`, one beyond the goal has a second chance.

    Raises:
        AssertionError: an answer was none.
    """
    taken = []
    chance = random.Random(3)
    async with aiohttp.ClientSession(url) as session:
        for shape, make in shapes.all():
            made = [make(chance) for _ in range(requests)]
            first = await _take(session, shape, made)
            if again and first.p99_ms > P99_MS_MAX:
                second = await _take(session, shape, made)
                first = msgspec.structs.replace(min(first, second, key=lambda each: each.p99_ms), retaken=True)
            taken.append(first)
    return taken


async def _take(session: aiohttp.ClientSession, shape: str, made: Sequence[Request]) -> Taken:
    times_ms: list[float] = []
    before = usage(os.getpid(), frozenset())
    until = time.monotonic() + SHAPE_S_MAX
    for request in made:
        started = time.perf_counter()
        async with session.request(
            request.method, request.path, data=request.form, headers={"Authorization": f"Bearer {request.key}"}
        ) as answer:
            body = await (answer.content.readany() if request.is_document else answer.read())
            times_ms.append((time.perf_counter() - started) * 1000)
            await answer.read()
        is_right = answer.status == 200 and not body.startswith(b'{"error')
        assert is_right, f"{shape}: {request.path}: {body[:300]!r}"
        if time.monotonic() > until and len(times_ms) > 1:
            break
    p99_ms = statistics.quantiles(times_ms, n=100)[98] if len(times_ms) >= 100 else max(times_ms)
    cost_ms = (usage(os.getpid(), frozenset()).family - before.family) * 1000 / len(times_ms)
    figures = (statistics.median(times_ms), p99_ms, max(times_ms), cost_ms)
    return Taken(shape, len(times_ms), *(round(figure, 2) for figure in figures))
