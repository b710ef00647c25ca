"""A gateway with two services on sale, and a reseller with 100 USD."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.long_past import Past, open_past
from tests.support.market import Market, Stocked
from tests.support.native import Native, Standing
from tests.support.panel import issue, sell, settings_for
from tests.support.payloads import assert_events_fit
from tests.support.serving import running


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url)


@pytest.fixture
async def url(db: Database, settings: Settings) -> AsyncIterator[str]:
    await sell(db, 1)
    await sell(db, 2, kind="Custom Comments")
    async with running(settings) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


@pytest.fixture
async def api(db: Database, http: aiohttp.ClientSession, url: str) -> Native:
    return Native(http, url, await issue(db))


@pytest.fixture
async def other(db: Database, http: aiohttp.ClientSession, url: str) -> Native:
    """Another reseller."""
    return Native(http, url, await issue(db))


@pytest.fixture
async def admin(db: Database, http: aiohttp.ClientSession, url: str) -> Native:
    """An operator."""
    return Native(http, url, await issue(db, role="admin"))


@pytest.fixture(scope="module")
async def standing(shared_database_url: str, redis_url: str) -> AsyncIterator[Standing]:
    """A gateway for all tests of a module that only read what is there, or are refused."""
    db = await Database.open(shared_database_url)
    await sell(db, 1)
    await sell(db, 2, kind="Custom Comments")
    reseller, operator = await issue(db), await issue(db, role="admin")
    async with running(settings_for(shared_database_url, redis_url)) as url, aiohttp.ClientSession() as http:
        yield Standing(db, Native(http, url, reseller), Native(http, url, operator))
    await assert_events_fit(db)
    await db.close()


@pytest.fixture
async def market(db: Database, url: str, stocked: Stocked) -> AsyncIterator[Market]:
    """Providers and what the module has of them."""
    async with stocked(db) as market:
        yield market


@pytest.fixture(scope="module")
async def operator(standing: Standing, stocked: Stocked) -> AsyncIterator[Native]:
    """One with such a market, who is only refused."""
    async with stocked(standing.db):
        yield standing.admin


@pytest.fixture(scope="module")
async def past(shared_database_url: str) -> AsyncIterator[Past]:
    """Months with many orders, for all tests of a module, which only read it."""
    async with open_past(shared_database_url) as past:
        yield past
