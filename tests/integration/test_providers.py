"""Providers in the database and the calls to their panels, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from compat.failures import UpstreamError
from compat.wire import Accepted, NotSent, Unknown
from gateway.catalog.editing.providers import set_active
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.errors import Conflict, NotFound
from gateway.keyring import Keyring
from gateway.providers import actions, store
from gateway.providers.breaker import FAULTS_MAX
from gateway.providers.money.balances import learn_balances
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.integration.scripted_panel import ScriptedPanel, open_panel, until

KEYRING = Keyring(("a secret of this test, long enough",))
SETTINGS = Settings(provider_max_in_flight=2, send_timeout_s=5.0, send_lease_s=20.0, poll_timeout_s=5.0)
PLACED = {"order": 77}


@pytest.fixture
async def panel() -> AsyncIterator[ScriptedPanel]:
    async with open_panel() as panel:
        panel.answers["add"] = PLACED
        yield panel


@pytest.fixture
async def upstreams(db: Database) -> AsyncIterator[Upstreams]:
    async with open_session(allow_private=True, limit=10) as session:
        yield Upstreams(db, KEYRING, session, SETTINGS)


@pytest.fixture
async def provider_id(db: Database, panel: ScriptedPanel, upstreams: Upstreams) -> UUID:
    provider_id = await add(db, panel.url)
    await upstreams.refresh()
    return provider_id


async def add(db: Database, url: str, name: str = "North", key: str = "k1", keyring: Keyring = KEYRING) -> UUID:
    async with db.transaction() as tx:
        return await actions.add_provider(tx, keyring, name, url, key, Decimal(25), 1)


async def test_a_key_is_stored_sealed_and_opens_again(db: Database) -> None:
    await add(db, "https://panel.example/api/v2", key="the-secret-key")
    async with db.connection() as connection:
        sealed = await connection.fetchval("SELECT api_key_encrypted FROM providers")
        provider = await actions.get_provider(connection, KEYRING, "North")
    assert "the-secret-key" not in sealed
    assert provider.api_key == "the-secret-key"
    assert "the-secret-key" not in repr(provider)


@pytest.mark.parametrize("url", ["http://panel.example\\api/v2", "http://\u3002/"])
async def test_an_address_that_is_none_leaves_out_its_provider_alone(
    db: Database, upstreams: Upstreams, url: str
) -> None:
    good, bad = await add(db, "https://panel.example/api/v2"), await add(db, "https://other.example/", "South")
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET api_endpoint = $2 WHERE id = $1", bad, url)
    await upstreams.refresh()
    assert set(upstreams.ready()) == {good}
    assert isinstance(await upstreams.add(bad, "1", {}), NotSent)


async def test_a_name_is_taken_once(db: Database) -> None:
    await add(db, "https://panel.example/api/v2")
    with pytest.raises(Conflict, match="name exists already"):
        await add(db, "https://other.example/api/v2")


async def test_what_is_not_there_cannot_be_paused(db: Database) -> None:
    async with db.transaction() as tx:
        with pytest.raises(NotFound):
            await actions.pause(tx, uuid4(), "no funds", 60)


async def test_an_order_is_placed_with_the_key_of_the_provider(
    upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    assert await upstreams.add(provider_id, "5", {"link": "https://e.com", "quantity": "9"}) == Accepted("77")
    assert panel.calls[0]["key"] == "k1"
    assert panel.calls[0]["service"] == "5"


async def test_no_call_is_made_inside_a_transaction(
    db: Database, upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    async with db.transaction():
        with pytest.raises(RuntimeError, match="inside a database transaction"):
            await upstreams.add(provider_id, "5", {})
        with pytest.raises(RuntimeError, match="inside a database transaction"):
            await upstreams.balance(provider_id)
    assert panel.calls == []


async def test_sends_take_slots_and_polls_go_on_beside_them(
    upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    assert upstreams.ready() == {provider_id: 2}
    panel.gate.clear()
    sends = [asyncio.create_task(upstreams.add(provider_id, "5", {})) for _ in range(3)]
    await until(lambda: panel.called("add") == 2)
    assert upstreams.ready() == {provider_id: 0}
    panel.answers["status"] = {"77": {"status": "Completed", "charge": "1", "remains": "0"}}
    assert (await upstreams.statuses(provider_id, ["77"]))["77"].word == "Completed"
    assert panel.called("add") == 2
    panel.gate.set()
    assert await asyncio.gather(*sends) == [Accepted("77")] * 3
    assert upstreams.ready() == {provider_id: 2}


async def test_a_send_that_is_cancelled_gives_its_slot_back(
    upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    panel.gate.clear()
    sends = [asyncio.create_task(upstreams.add(provider_id, "5", {})) for _ in range(4)]
    await until(lambda: panel.called("add") == 2)
    for send in sends:
        send.cancel()
    await asyncio.gather(*sends, return_exceptions=True)
    assert upstreams.ready() == {provider_id: 2}


async def test_a_provider_that_is_paused_or_off_takes_no_sends(
    db: Database, upstreams: Upstreams, provider_id: UUID
) -> None:
    async with db.transaction() as tx:
        await actions.pause(tx, provider_id, "no funds there", 60)
    await upstreams.refresh()
    assert upstreams.ready() == {}
    async with db.transaction() as tx:
        await actions.resume(tx, provider_id)
    await upstreams.refresh()
    assert upstreams.ready() == {provider_id: 2}
    async with db.transaction() as tx:
        await set_active(tx, provider_id, False)
    await upstreams.refresh()
    assert upstreams.ready() == {}
    assert (await upstreams.balance(provider_id)).balance == 1


async def test_a_longer_pause_stays(db: Database, provider_id: UUID) -> None:
    async with db.transaction() as tx:
        await actions.pause(tx, provider_id, "long", 3600)
        await actions.pause(tx, provider_id, "short", 1)
        row = await store.find(tx, provider_id)
    assert row is not None
    assert row.pause_left_s == 3600


async def test_faults_in_a_row_open_the_breaker_and_nothing_is_sent_then(
    upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    panel.status = 502
    for _ in range(FAULTS_MAX):
        assert isinstance(await upstreams.add(provider_id, "5", {}), Unknown)
    assert upstreams.ready() == {}
    assert await upstreams.add(provider_id, "5", {}) == NotSent("the breaker is open")
    assert panel.called("add") == FAULTS_MAX


async def test_another_key_makes_a_new_client_with_a_closed_breaker(
    db: Database, upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    panel.status = 502
    for _ in range(FAULTS_MAX):
        await upstreams.add(provider_id, "5", {})
    panel.status = 200
    async with db.transaction() as tx:
        await actions.set_api_key(tx, KEYRING, provider_id, "k2")
    await upstreams.refresh()
    assert await upstreams.add(provider_id, "5", {}) == Accepted("77")
    assert panel.calls[-1]["key"] == "k2"


async def test_a_refresh_that_changes_nothing_keeps_what_is_known(
    upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    panel.status = 502
    for _ in range(FAULTS_MAX):
        await upstreams.add(provider_id, "5", {})
    await upstreams.refresh()
    assert upstreams.ready() == {}


async def test_a_key_that_cannot_be_opened_leaves_the_others_working(
    db: Database, upstreams: Upstreams, provider_id: UUID
) -> None:
    lost = await add(db, "https://p.example/api", "Lost", keyring=Keyring(("a secret that nobody lists any more",)))
    await upstreams.refresh()
    assert upstreams.ready() == {provider_id: 2}
    assert isinstance(await upstreams.add(lost, "5", {}), NotSent)


async def test_a_word_on_what_was_not_placed_counts_once_the_extension_was_shown(
    db: Database, upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID
) -> None:
    panel.answers["balance"] = {"balance": "3", "currency": "USD", "idempotency": True}
    await learn_balances(db, upstreams)
    panel.status, panel.answers["add"] = 503, {"error": "Service temporarily unavailable", "placed": False}
    assert isinstance(await upstreams.add(provider_id, "5", {}), NotSent)


async def test_an_unreadable_list_is_an_error(upstreams: Upstreams, panel: ScriptedPanel, provider_id: UUID) -> None:
    panel.answers["services"] = "<html>"
    with pytest.raises(UpstreamError):
        await upstreams.services(provider_id)
