"""Clients as the world writes them run each action for each of the seventeen kinds, against real processes."""

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from safesmm import SafeSMM, SafeSMMError

from compat.kinds import Kind
from gateway.db.engine import Database
from tests.support.accounts import add_provider, add_reseller, assert_ledger_is_clean
from tests.support.checks import assert_followed
from tests.support.processes import Installation, answering, eventually, running_processes

CLIENTS = Path(__file__).parent / "clients"
LINK = "https://example.com/p/1?a=b&c=%20+d=e=ü"
LINES = "first\nsecond\nthird\nfourth\nfifth"

Call = tuple[str, list[Any]]
Ask = Callable[[str, str, list[Call]], Awaitable[list[Any]]]

FIELDS: dict[Kind, dict[str, str]] = {
    Kind.DEFAULT: {"quantity": "100"},
    Kind.PACKAGE: {},
    Kind.SEO: {"quantity": "10", "keywords": LINES},
    Kind.CUSTOM_COMMENTS: {"comments": LINES},
    Kind.CUSTOM_COMMENTS_PACKAGE: {"comments": LINES},
    Kind.MENTIONS: {"quantity": "100", "usernames": LINES},
    Kind.MENTIONS_WITH_HASHTAGS: {"quantity": "100", "usernames": LINES, "hashtags": "#a\n#b"},
    Kind.MENTIONS_CUSTOM_LIST: {"usernames": f"{LINES}\n{LINES}"},
    Kind.MENTIONS_HASHTAG: {"quantity": "100", "hashtag": "#cats"},
    Kind.MENTIONS_USER_FOLLOWERS: {"quantity": "100", "username": "somebody"},
    Kind.MENTIONS_MEDIA_LIKERS: {"quantity": "100", "media": LINK},
    Kind.COMMENT_LIKES: {"quantity": "20", "username": "somebody"},
    Kind.COMMENT_REPLIES: {"username": "somebody", "comments": LINES},
    Kind.POLL: {"quantity": "10", "answer_number": "2"},
    Kind.INVITES_FROM_GROUPS: {"quantity": "50", "groups": LINES},
    Kind.SUBSCRIPTIONS: {"username": "somebody", "min": "10", "max": "20", "delay": "0", "posts": "2"},
    Kind.WEB_TRAFFIC: {"quantity": "100", "country": "DE", "device": "5", "type_of_traffic": "3"},
}


async def ask_by_program(words: list[str], url: str, key: str, calls: list[Call]) -> list[Any]:
    process = await asyncio.create_subprocess_exec(
        *words, url, key, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(json.dumps(calls).encode())
    assert process.returncode == 0
    answers: list[Any] = json.loads(out)
    return answers


async def ask_by_php(url: str, key: str, calls: list[Call]) -> list[Any]:
    return await ask_by_program(["php", str(CLIENTS / "classic.php")], url, key, calls)


async def ask_by_node(url: str, key: str, calls: list[Call]) -> list[Any]:
    return await ask_by_program(["node", str(CLIENTS / "node.mjs")], url, key, calls)


async def ask_by_safesmm(url: str, key: str, calls: list[Call]) -> list[Any]:
    """It knows no refill of many and no refill_status, which go through its own way of asking."""
    client = SafeSMM(key, api_url=url)
    own: dict[str, Callable[..., Any]] = {
        "order": lambda fields: client.add_order(**{"link": None, **fields}),
        "status": client.status,
        "multiStatus": client.multi_status,
        "services": client.services,
        "refill": client.refill,
        "multiRefill": lambda orders: client._request("refill", orders=",".join(map(str, orders))),
        "refillStatus": lambda refill: client._request("refill_status", refill=refill),
        "cancel": client.cancel,
        "balance": client.balance,
    }

    def run() -> list[Any]:
        answers: list[Any] = []
        for name, arguments in calls:
            try:
                answers.append(own[name](*arguments))
            except SafeSMMError as error:
                answers.append({"error": str(error)})
        return answers

    return await asyncio.to_thread(run)


ASK: dict[str, tuple[Ask, str]] = {
    "PHP's classic class": (ask_by_php, "php"),
    "safesmm": (ask_by_safesmm, sys.executable),
    "Node's fetch": (ask_by_node, "node"),
}


async def test_a_client_runs_each_action_for_each_kind(
    tmp_path: Path, db: Database, database_url: str, redis_url: str, subtests: pytest.Subtests
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url, extra={"refill_wait_s": 1})
        api = gateway.begin_serving()
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key, markup="10")
        url = answering(api).url
        placed: dict[str, tuple[str, dict[Kind, int]]] = {}
        for name, (ask, program) in ASK.items():
            with subtests.test("ordered", client=name):
                if shutil.which(program) is None:
                    pytest.skip(f"{program} is not installed")
                key = (await add_reseller(db, gateway.keyring, "100", email=f"{len(placed)}@example.com")).key
                orders = await order_each_kind(ask, url, key)
                await cancel_and_refill(ask, url, key, orders)
                placed[name] = key, orders
        gateway.work()
        await until(db, "SELECT bool_and(status IN ('completed', 'cancelled')) FROM orders", "all orders ended")
        await until(db, "SELECT max(completed_at) < now() - interval '1 s' FROM orders", "the wait for a refill over")
        refills: dict[str, str] = {}
        for name, (key, orders) in placed.items():
            with subtests.test("all ended", client=name):
                refills[name] = await ask_for_a_refill(ASK[name][0], url, key, orders)
        await until(db, "SELECT bool_and(state = 'completed') FROM refills", "all refills completed")
        for name, refill in refills.items():
            with subtests.test("refilled", client=name):
                await see_it_completed(ASK[name][0], url, placed[name][0], refill)
    await assert_ledger_is_clean(db)
    await assert_followed(db)


async def until(db: Database, query: str, what: str) -> None:
    """The database is looked at until it is time to ask: a client that is started each time keeps a core busy."""

    async def holds() -> bool:
        async with db.connection() as connection:
            return bool(await connection.fetchval(query))

    await eventually(holds, what=what, within_s=30)


async def order_each_kind(ask: Ask, url: str, key: str) -> dict[Kind, int]:
    [services] = await ask(url, key, [("services", [])])
    first: dict[str, Any] = {}
    for row in services:
        first.setdefault(row["type"], row)
    assert set(first) == set(Kind)
    adds: list[Call] = []
    for kind, fields in FIELDS.items():
        link = {} if kind is Kind.SUBSCRIPTIONS else {"link": LINK}
        adds.append(("order", [{"service": first[kind]["service"], **link, **fields}]))
    added = await ask(url, key, adds)
    orders = {kind: answer["order"] for kind, answer in zip(FIELDS, added, strict=True)}
    assert all(isinstance(order, int) and order > 100_000 for order in orders.values())
    broken: list[Call] = [("order", [{"service": first[kind]["service"]}]) for kind in Kind]
    assert all("error" in answer for answer in await ask(url, key, broken))
    statuses = await ask(url, key, [("status", [order]) for order in orders.values()])
    for kind, status in zip(orders, statuses, strict=True):
        assert status["status"] == ("Active" if kind is Kind.SUBSCRIPTIONS else "Pending")
    [many, balance] = await ask(url, key, [("multiStatus", [[*orders.values(), 7]]), ("balance", [])])
    assert set(many) == {*map(str, orders.values()), "7"}
    assert many["7"] == {"error": "Incorrect order ID"}
    assert balance["currency"] == "USD"
    return orders


async def cancel_and_refill(ask: Ask, url: str, key: str, orders: dict[Kind, int]) -> None:
    """Nothing has been sent: what may be cancelled is withdrawn at once, but for the one that is to be refilled."""
    wanted = [order for kind, order in orders.items() if kind is not Kind.DEFAULT]
    [cancelled, refills] = await ask(url, key, [("cancel", [wanted]), ("multiRefill", [list(orders.values())])])
    taken = {row["order"] for row in cancelled if row["cancel"] == 1}
    assert taken == {orders[Kind.WEB_TRAFFIC], orders[Kind.SUBSCRIPTIONS]}
    assert all(row["cancel"] in (1, {"error": "Incorrect request"}) for row in cancelled)
    assert [row["order"] for row in refills] == list(orders.values())
    assert all("error" in row["refill"] for row in refills)
    [traffic, subscription] = await ask(url, key, [("status", [order]) for order in sorted(taken, reverse=True)])
    assert (traffic["status"], traffic["charge"], subscription["status"]) == ("Canceled", "0", "Canceled")


async def ask_for_a_refill(ask: Ask, url: str, key: str, orders: dict[Kind, int]) -> str:
    statuses = await ask(url, key, [("status", [number]) for number in orders.values()])
    assert all(status["status"] in ("Completed", "Canceled") for status in statuses)
    [answer] = await ask(url, key, [("refill", [orders[Kind.DEFAULT]])])
    assert isinstance(answer["refill"], str)
    return answer["refill"]


async def see_it_completed(ask: Ask, url: str, key: str, refill: str) -> None:
    assert await ask(url, key, [("refillStatus", [refill]), ("refillStatus", [99])]) == [
        {"status": "Completed"},
        {"error": "Refill not found"},
    ]
