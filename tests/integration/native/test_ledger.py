"""`/v1/ledger`, statements and balances of the past: to the last digit, of the caller's wallet alone."""

import csv
import io
from decimal import Decimal

from gateway.db.engine import Database
from gateway.ledger.booking import book
from tests.support.native import Native

ORDER = {"service": 1, "link": "https://example.com/p/1", "quantity": 100}


async def test_every_movement_is_listed_in_its_order(db: Database, api: Native) -> None:
    numbers = [(await api("POST", "/v1/orders", ORDER)).json()["number"] for _ in range(3)]
    seen, path = [], "/v1/ledger?limit=3"
    while True:
        page = (await api("GET", path)).json()
        seen += page["data"]
        await api("POST", "/v1/orders", ORDER)
        if not page["has_more"]:
            break
        path = f"/v1/ledger?limit=3&after={page['next']}"
    assert [line["seq"] for line in seen] == [4, 3, 2, 1]
    assert [line["order"] for line in seen] == [*numbers[::-1], None]
    assert seen[0] | {"id": "", "created_at": ""} == {
        "id": "", "seq": 4, "type": "hold", "amount": "0.09", "balance_after": "100", "hold_after": "0.27",
        "order": numbers[2], "reference": None, "note": None, "created_at": "",
    }  # fmt: skip
    for query, count in (("type=deposit", 1), (f"order={numbers[0]}", 1), ("order=1", 0), ("type=fee", 0)):
        assert len((await api("GET", f"/v1/ledger?{query}")).json()["data"]) == count


async def test_others_see_nothing_of_it(api: Native, other: Native) -> None:
    order = (await api("POST", "/v1/orders", ORDER)).json()
    theirs = (await api("GET", "/v1/ledger")).json()["data"]
    assert (await other("GET", f"/v1/ledger?order={order['number']}")).json()["data"] == []
    mine = (await other("GET", f"/v1/ledger?after={theirs[0]['id']}")).json()["data"]
    assert not {line["id"] for line in mine} & {line["id"] for line in theirs}


async def test_the_balance_is_known_for_every_moment(api: Native) -> None:
    first = (await api("POST", "/v1/orders", ORDER)).json()
    await api("POST", "/v1/orders", ORDER)
    [line] = (await api("GET", f"/v1/ledger?order={first['number']}")).json()["data"]
    for at, hold in ((line["created_at"], "0.09"), ("2020-01-01T00:00:00Z", "0"), ("2100-01-01T00:00:00Z", "0.18")):
        then = (await api("GET", f"/v1/balance?at={at}")).json()
        assert (then["hold"], then["balance"]) == (hold, "0" if at.startswith("2020") else "100")


async def test_a_statement_adds_up_and_holds_no_formula(db: Database, api: Native) -> None:
    await api("POST", "/v1/orders", ORDER)
    async with db.transaction() as tx:
        wallet_id = await tx.fetchval("SELECT id FROM wallets")
        await book(tx, wallet_id, "fee", Decimal("1.5"), reference="=HYPERLINK(1)", note='a "b", c')
    got = await api("GET", "/v1/ledger/statement?since=2026-01-01T00:00:00Z")
    assert (got.status, got.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(got.body.decode())))
    assert [row["type"] for row in rows] == ["opening", "deposit", "hold", "fee", "closing"]
    assert rows[0]["time"] == "2026-01-01T00:00:00Z"
    assert all(row["time"].endswith("Z") for row in rows)
    assert (rows[3]["amount"], rows[3]["reference"], rows[3]["note"]) == ("1.5", "'=HYPERLINK(1)", 'a "b", c')
    assert (rows[-1]["balance"], rows[-1]["hold"]) == ("98.5", "0.09")
    refused = await api("GET", "/v1/ledger/statement?since=2020-01-01T00:00:00Z")
    assert (refused.status, refused.problem) == (422, "invalid")


async def test_a_long_statement_is_written_batch_by_batch(db: Database, api: Native) -> None:
    async with db.transaction() as tx:
        wallet_id = await tx.fetchval("SELECT id FROM wallets")
        for _ in range(1100):
            await book(tx, wallet_id, "deposit", Decimal("0.01"))
    got = await api("GET", "/v1/ledger/statement?since=2026-01-01T00:00:00Z")
    rows = list(csv.DictReader(io.StringIO(got.body.decode())))
    assert len(rows) == 1103
    assert rows[-1]["balance"] == rows[-2]["balance"] == "111"
