"""What providers did over many months: found among what all of them did."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.catalog.quality.store import total_of_provider, totals
from gateway.db.engine import Transaction
from gateway.orders.lists.model import Wanted
from gateway.orders.lists.store import list_orders
from gateway.orders.margin.adding_up import REST_S, add_up_days
from gateway.orders.margin.store import add_up, list_open, report
from gateway.providers.money.days.store import list_overcharges
from tests.support.long_past import LIMIT, PAGES_OF_NOTHING_MAX, Past, rolled_back
from tests.support.months import FEW, MANY
from tests.support.reads import Measured, Writing

FIRST, SECOND = UUID(int=1), UUID(int=5)


@pytest.fixture(scope="module")
async def bought(past: Past, shared_database_url: str) -> AsyncIterator[Transaction]:
    """Every order has ended. What `MANY` had of service 1 was bought from `FIRST`, all else from 18 more providers."""
    admin = await asyncpg.connect(shared_database_url)
    await admin.execute("SET session_replication_role = replica")
    for statement in _BOUGHT:
        await admin.execute(statement)
    yield admin
    await admin.close()


_BOUGHT = (
    f"UPDATE orders o SET provider_id = lpad(to_hex(CASE WHEN s.number = 1 AND o.user_id = '{MANY}' THEN 1 "
    "ELSE 3 + s.number % 18 END), 32, '0')::uuid, completed_at = o.created_at, upstream_charge = 0.05 "
    "FROM services s WHERE s.id = o.service_id",
    "REINDEX TABLE orders",
    "INSERT INTO providers (id, name, api_endpoint, api_key_encrypted) "
    "SELECT lpad(to_hex(n), 32, '0')::uuid, 'Provider ' || n, 'https://example.com/' || n, 'sealed' "
    "FROM generate_series(1, 20) n",
    "INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000) "
    "SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(1 + n % 50), 32, '0')::uuid, "
    "lpad(to_hex(1 + n % 20), 32, '0')::uuid, n::text, 1 FROM generate_series(1, 400) n",
    "INSERT INTO quality_days (route_id, service_id, day, completed) SELECT id, service_id, current_date - n, 1 "
    "FROM service_routes CROSS JOIN generate_series(1, 60) n",
    "VACUUM ANALYZE orders, providers, service_routes, quality_days",
)


async def test_a_service_and_a_provider_that_never_met_are_looked_for_in_the_index_alone(bought: Transaction) -> None:
    """Both have orders in every month, so that there is nothing in the months themselves to go by."""
    measured = Measured(bought)
    assert await list_orders(measured, Wanted(service=1, provider_id=SECOND, most=LIMIT)) == []  # type: ignore[arg-type]
    assert len(await list_orders(bought, Wanted(service=1, provider_id=FIRST, most=LIMIT))) == LIMIT
    assert measured.pages < PAGES_OF_NOTHING_MAX


async def test_a_user_and_a_provider_that_never_met_are_looked_for_in_the_index_alone(bought: Transaction) -> None:
    measured = Measured(bought)
    assert await list_orders(measured, Wanted(user_id=FEW, provider_id=FIRST, most=LIMIT)) == []  # type: ignore[arg-type]
    assert len(await list_orders(bought, Wanted(user_id=MANY, provider_id=FIRST, most=LIMIT))) == LIMIT
    assert measured.pages < PAGES_OF_NOTHING_MAX


async def test_what_ended_at_a_provider_is_found_among_what_ended_at_all(bought: Transaction) -> None:
    since = datetime.now(UTC) - timedelta(days=30)
    measured = Measured(bought)
    await list_overcharges(measured, FIRST, since, LIMIT)  # type: ignore[arg-type]
    ended = "SELECT count(*) FROM orders WHERE completed_at >= $1 AND provider_id <> $2"
    assert await bought.fetchval(ended, since, FIRST) > 1000
    assert measured.passed_over == 0


@pytest.mark.parametrize("generic", [False, True])
async def test_the_quality_of_a_provider_or_a_service_is_read_of_its_own_days(
    bought: Transaction, generic: bool
) -> None:
    measured: Any = Measured(bought, generic=generic)
    assert await totals(measured, "route_id", 30, service_id=FIRST)
    assert (await total_of_provider(measured, FIRST, 30)).completed > 0
    assert "quality_days" in measured.tables - measured.read_whole


async def test_what_was_earned_is_summed_without_looking_at_anything_for_each_order(bought: Transaction) -> None:
    """But for parents and for what was written off, of which there are few."""
    today = datetime.now(UTC).date()
    measured = Measured(bought)
    [whole] = await report(measured, None, today - timedelta(days=90), today, LIMIT)  # type: ignore[arg-type]
    assert whole.orders > 3000
    assert measured.loops_max < 100


@pytest.mark.parametrize("generic", [False, True])
async def test_the_first_day_to_add_up_is_known_without_reading_orders_and_a_day_is_read_by_index(
    bought: Transaction, generic: bool
) -> None:
    measured: Any = Measured(bought, generic=generic)
    days = await list_open(measured, REST_S, 1000)
    assert len(days) > 700
    assert sum(rows for table, rows in measured.rows.items() if table.startswith("orders_")) < 100
    async with rolled_back(bought):
        measured = Writing(bought, generic=generic)
        assert await add_up(measured, days[100])
    assert 0 < sum(rows for table, rows in measured.rows.items() if table.startswith("orders_")) < 1000


async def test_of_days_that_are_added_up_no_order_is_read(bought: Transaction, past: Past) -> None:
    """By a plan that is made for all days alike; the last day or two are not over for long."""
    today = datetime.now(UTC).date()
    since = today - timedelta(days=300)
    before = await report(bought, None, since, today, LIMIT)
    assert await add_up_days(past.db) > 700
    measured = Measured(bought, generic=True)
    assert await report(measured, None, since, today, LIMIT) == before  # type: ignore[arg-type]
    assert before[0].orders > 10_000
    assert sum(rows for table, rows in measured.rows.items() if table.startswith("orders_")) < 200
    assert measured.rows["margin_sums"] > 10_000
    assert "margin_sums" not in measured.read_whole
