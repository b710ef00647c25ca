"""Some of everything that the native API shows, and the ids under which its operations know it."""

import itertools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.alerts.store import Alert, raise_
from gateway.api.v1.operations import Operation
from gateway.api.v1.router import OPERATIONS
from gateway.db.engine import Database
from tests.support.native import Native

Known = dict[str, list[str]]
"""By the name of a path parameter."""

_LISTS = {operation.path: operation for operation in OPERATIONS if operation.method == "GET"}


async def stock(db: Database, api: Native, admin: Native) -> None:
    """Give a reseller some of everything, where services 1 and 2 are on sale, and operators what they alone see."""
    link = "https://example.com/p/1"
    orders = [await _made(api, "/v1/orders", service=1, link=link, quantity=quantity) for quantity in (100, 200, 300)]
    webhook = await _made(api, "/v1/webhooks", url="https://example.com/hook", events=["*"])
    await _made(api, f"/v1/webhooks/{webhook}/ping")
    await _made(api, "/v1/api-keys", name="second")
    user = (await api("GET", "/v1/account")).json()["user_id"]
    await _made(admin, "/v1/admin/prices/markups", "PUT", category="First", percent="10")
    await _made(admin, "/v1/admin/prices/custom", "PUT", user=user, service=2, price="3")
    async with db.transaction() as tx:
        await raise_(tx, [Alert("provider_down", "stock", "look")])
        await tx.execute(
            "INSERT INTO refills (order_id, user_id, provider_id, external_order_id, state, upstream_status)"
            " SELECT o.id, o.user_id, p.id, '77', 'accepted', 'Pending' FROM orders o, providers p"
            " WHERE o.id = $1 LIMIT 1",
            orders[0],
        )


async def _made(client: Native, path: str, method: str = "POST", **fields: object) -> str:
    made = await client(method, path, fields or None)
    assert made.status in (200, 201, 202), made.body
    name: str = made.json().get("id", "")
    return name


async def known_to(client: Native, operations: list[Operation]) -> Known:
    """What lists show to this caller of the path parameters of these operations, besides his own user, key and tier."""
    me = (await client("GET", "/v1/account")).json()
    own = {me["user_id"], me["key_id"], me["tier"]}
    known: Known = {}
    paths = {operation.path for operation in operations}
    items = {path: _LISTS[path.rpartition("/")[0]] for path in paths if path.endswith("}")}
    for path in sorted(items, key=lambda path: (len(_needs(items[path])), path)):
        name = path.rpartition("/")[2].strip("{}")
        for address in _addresses(items[path], known):
            rows = (await client("GET", address)).json()["data"]
            known.setdefault(name, []).extend(
                value for row in rows if own.isdisjoint(_names(row)) for value in _names(row)
            )
    wanted = {name for path in paths for name in re.findall(r"\{(\w+)\}", path)}
    missing = sorted(name for name in wanted if not known.get(name))
    assert not missing, f"there is nothing in tests/support/stock.py that a list shows as {missing}"
    return known


def _needs(lists: Operation) -> list[str]:
    """What it takes to ask for a list: the parameters of its path, and what its query must have."""
    fields = () if lists.query is None else msgspec.structs.fields(lists.query)
    return re.findall(r"\{(\w+)\}", lists.path) + [field.encode_name for field in fields if field.required]


def _addresses(lists: Operation, known: Known) -> Iterator[str]:
    needs = _needs(lists)
    for values in itertools.product(*(known.get(name, []) for name in needs)):
        given = dict(zip(needs, values, strict=True))
        query = "&".join(f"{name}={quote(value)}" for name, value in given.items() if f"{{{name}}}" not in lists.path)
        yield f"{lists.path.format_map(given)}?{query}"


def _names(row: dict[str, Any]) -> list[str]:
    """What a row is asked for by."""
    return [str(row[name]) for name in ("id", "number") if name in row] or [row["name"]]
