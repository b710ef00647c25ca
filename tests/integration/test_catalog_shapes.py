"""Lists as real panels write them: one importer for all of them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gateway.catalog import store
from gateway.catalog.sync.syncing import sync_provider
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.integration.scripted_panel import ScriptedPanel, open_panel

KEYRING = Keyring(("a secret of this test, long enough",))
BASE = {"name": "Likes", "type": "Default", "category": "Instagram", "rate": "0.90", "min": "10", "max": "1000"}


def row(service: object, **changes: Any) -> dict[str, Any]:
    return {"service": service, **BASE, **changes}


def without(service: object, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row(service).items() if name not in names}


SHAPES: dict[str, Any] = {
    "wrapped": {"status": "success", "data": [row(1), row(2)]},
    "wrapped under services": {"services": [row("1"), row("2")]},
    "map-valued": {"1": without(1, "service"), "2": row(2)},
    "missing flags": [row(1), without(2, "category")],
    "string flags": [row(1, refill="1", cancel="true", dripfeed="no"), row(2, refill="0", cancel="", dripfeed="false")],
    "numbers": [row(1, rate=0.9, min=10, max=1000, refill=1, cancel=0), row(2, rate=1, min=10.0, max=1e3)],
    "small prices": [row(1, rate="0.0012"), row(2, rate="1e-3")],
    "small prices as numbers": [row(1, rate=0.0012), row(2, rate=1e-3)],
    "prices with thousands": [row(1, rate="1,234.50"), row(2, rate=" 0.90 ")],
    "more than the protocol has": [row(1, average_time="1 hour", cancel=None, description="x"), row(2, id=7)],
}
RATES = {
    "small prices": ["0.0015", "0.00125"],
    "small prices as numbers": ["0.0015", "0.00125"],
    "prices with thousands": ["1543.125", "1.125"],
    "numbers": ["1.125", "1.25"],
}


@pytest.fixture
async def panel() -> AsyncIterator[ScriptedPanel]:
    async with open_panel() as panel:
        yield panel


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_list_of_any_shape_is_taken_over(db: Database, panel: ScriptedPanel, shape: str) -> None:
    panel.answers["services"] = SHAPES[shape]
    async with open_session(allow_private=True, limit=10) as session:
        upstreams = Upstreams(db, KEYRING, session, Settings())
        async with db.transaction() as tx:
            provider_id: UUID = await actions.add_provider(tx, KEYRING, "North", panel.url, "k", Decimal(25), 0)
        await upstreams.refresh()
        result = await sync_provider(db, upstreams, provider_id)
        assert (result.new, result.skipped) == (2, 0)
        assert (await sync_provider(db, upstreams, provider_id)).lines == []
    async with db.connection() as connection:
        services = await store.list_services(connection)
    assert [service.rate for service in services] == [Decimal(rate) for rate in RATES.get(shape, ["1.125"] * 2)]
    assert [(service.min_quantity, service.max_quantity) for service in services] == [(10, 1000)] * 2
    if shape == "string flags":
        assert [(s.refill, s.cancel, s.dripfeed) for s in services] == [(True, True, False), (False, False, False)]
