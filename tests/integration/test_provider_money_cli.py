"""The operator's commands about money at providers, as real processes."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.db.engine import Database
from gateway.orders.model import Status
from tests.integration.test_cli import Done, Gateway, execute, is_one_line
from tests.support.upstream import open_trade


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Gateway:
    async def run(*words: str, stdin: str = "", **environ: str) -> Done:
        given = {"GATEWAY_DATABASE_URL": database_url, "GATEWAY_DATA_DIR": str(tmp_path / "data")}
        return await execute(*words, stdin=stdin, **(given | environ))

    return run


async def rows_of(gateway: Gateway, *words: str) -> Any:
    return (await gateway(*words, "--json")).json()


async def test_an_operator_sees_balance_deposits_days_charges_and_margin(db: Database, gateway: Gateway) -> None:
    async with open_trade(db, cost="0.6") as trade:
        await trade.sql("UPDATE providers SET name = 'North', created_at = now() - interval '2 days'")
        [order] = await trade.trade(Status.COMPLETED, 1000)
        await trade.learn()
    shown = await rows_of(gateway, "provider", "money", "North", "--low", "50")
    assert {**shown, "balance_at": None} == {
        "provider": "North",
        "currency": "USD",
        "balance": "99.1",
        "balance_at": None,
        "low_balance": "50",
        "daily_spend": "0.6",
        "days_left": "165.2",
        "routes_paused_for_funds": 0,
    }
    assert (await rows_of(gateway, "provider", "money", "North", "--no-low"))["low_balance"] is None
    paid = ("provider", "deposit", "North", "20", "--reference", "invoice 7", "--at", "2026-01-31T10:00")
    assert await rows_of(gateway, *paid) == {
        "provider": "North", "amount": "20", "reference": "invoice 7", "at": "2026-01-31T10:00:00Z", "entered": True,
    }  # fmt: skip
    assert (await rows_of(gateway, *paid))["entered"] is False
    assert (await rows_of(gateway, "provider", "deposit", "North", "-1.5", "--reference", "out"))["amount"] == "-1.5"
    days = await rows_of(gateway, "provider", "days", "North")
    assert [day["missing"] for day in days["days"]] == ["no reading near its start"] * 2
    assert len(days["reasons"]) == 6
    [charge] = await rows_of(gateway, "provider", "charges", "North")
    assert (charge["number"], charge["expected"], charge["charged"], charge["difference"]) == (
        order.number,
        "0.6",
        "0.9",
        "0.3",
    )
    [margin] = await rows_of(gateway, "margin", "--by", "provider")
    assert (margin["of"], margin["turnover"], margin["cost"], margin["margin"], margin["margin_percent"]) == (
        "North", "2", "0.9", "1.1", "55",
    )  # fmt: skip


async def test_tables_for_people_say_the_same(db: Database, gateway: Gateway) -> None:
    async with open_trade(db) as trade:
        await trade.sql("UPDATE providers SET name = 'North'")
        await trade.sql(
            "INSERT INTO provider_days "
            "SELECT id, (now() AT TIME ZONE 'UTC')::date - 1, 5, 4, 0, 0.5, 0, -0.5 FROM providers"
        )
    said = (await gateway("provider", "days", "North")).out
    assert "-0.5" in said
    assert "gateway provider charges" in said
    for words in (("provider", "money", "North"), ("provider", "charges", "North"), ("margin",)):
        done = await gateway(*words)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("provider", "money", "Nobody"),
        ("provider", "money", "North", "--low", "-1"),
        ("provider", "money", "North", "--low", "1", "--no-low"),
        ("provider", "deposit", "North", "0", "--reference", "x"),
        ("provider", "deposit", "North", "1", "--reference", "x", "--at", "yesterday"),
        ("provider", "days", "North", "--since", "31.1.2026"),
        ("margin", "--since", "2026-02-02", "--until", "2026-02-01"),
    ],
)
async def test_what_cannot_be_done_is_told_in_one_line(db: Database, gateway: Gateway, words: tuple[str, ...]) -> None:
    async with open_trade(db, balance=Decimal(1)) as trade:
        await trade.sql("UPDATE providers SET name = 'North'")
    done = await gateway(*words)
    assert done.code in (1, 2)
    assert done.out == ""
    assert is_one_line(done.err) or done.err.startswith("gateway ")
