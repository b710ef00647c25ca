"""Operators and providers: terms, keys that nothing shows, pauses, and syncs that the worker does."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from gateway.catalog.sync import store
from gateway.catalog.sync.syncing import sync_due
from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.providers.actions import unseal
from gateway.providers.store import find_by_name
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.integration.scripted_panel import ScriptedPanel, open_panel
from tests.support.market import listed
from tests.support.native import Native
from tests.support.panel import SECRET, settings_for

KEY = "a-key-of-ours-there"


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url, allow_private_addresses=True)


@pytest.fixture
async def panel() -> AsyncIterator[ScriptedPanel]:
    async with open_panel() as panel:
        yield panel


@pytest.fixture(autouse=True)
async def numbers_are_free(db: Database) -> None:
    """The services that are there already took theirs by hand."""
    async with db.transaction() as tx:
        await tx.execute("SELECT nextval('services_number_seq') FROM generate_series(1, 10)")


async def add(admin: Native, panel: ScriptedPanel, **terms: Any) -> dict[str, Any]:
    added = await admin("POST", "/v1/admin/providers", {"name": "one", "url": panel.url, "key": KEY, **terms})
    assert added.status == 201, added.body
    assert KEY.encode() not in added.body
    provider: dict[str, Any] = added.json()
    return provider


async def work(db: Database, settings: Settings) -> int:
    """What the worker does of what is due; how many syncs went well."""
    async with open_session(allow_private=True, limit=4) as session:
        return await sync_due(db, Upstreams(db, Keyring((SECRET,)), session, settings), 1800)


async def lines(admin: Native, provider: dict[str, Any]) -> list[dict[str, Any]]:
    audited = await admin("GET", f"/v1/admin/audit?object_type=providers&object_id={provider['id']}&limit=100")
    assert KEY.encode() not in audited.body
    found: list[dict[str, Any]] = audited.json()["data"]
    return found


async def test_a_provider_is_added_shown_and_listed_without_its_key(
    db: Database, admin: Native, panel: ScriptedPanel
) -> None:
    provider = await add(admin, panel, markup_percent="25.5", currency="EUR", exchange_rate="1.1")
    path = f"/v1/admin/providers/{provider['id']}"
    assert (provider["markup_percent"], provider["currency"], provider["exchange_rate"]) == ("25.5", "EUR", "1.1")
    assert (provider["routes"], provider["synced_at"], provider["sync_wanted"]) == (0, None, False)
    shown = await admin("GET", path)
    assert shown.json() == provider
    seen: list[str] = []
    after = ""
    while True:
        part = (await admin("GET", f"/v1/admin/providers?limit=2{after}")).json()
        seen += [each["name"] for each in part["data"]]
        if not part["has_more"]:
            break
        after = f"&after={part['next']}"
    assert sorted(seen) == ["one", "upstream 1", "upstream 2"]
    async with db.connection() as connection:
        row = await find_by_name(connection, "one")
    assert row is not None
    assert unseal(Keyring((SECRET,)), row).api_key == KEY
    [line] = await lines(admin, provider)
    assert (line["action"], line["before"], line["after"]["name"]) == ("admin_add_provider", None, "one")


async def test_the_same_request_adds_one_provider(admin: Native, panel: ScriptedPanel) -> None:
    body = {"name": "one", "url": panel.url, "key": KEY}
    first = await admin("POST", "/v1/admin/providers", body, Idempotency_Key="p")
    again = await admin("POST", "/v1/admin/providers", body, Idempotency_Key="p")
    assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (201, first.body, "true")
    anew = await admin("POST", "/v1/admin/providers", body)
    assert (anew.status, anew.problem) == (409, "conflict")


async def test_terms_are_changed_as_they_were_read_and_put_down(admin: Native, panel: ScriptedPanel) -> None:
    provider = await add(admin, panel, markup_percent="10")
    path = f"/v1/admin/providers/{provider['id']}"
    etag = (await admin("GET", path)).headers["ETag"]
    body = {"markup_percent": "20", "price_step": "0.01", "margin_floor_percent": "5", "is_active": False,
            "key": KEY + "-2", "probes": True}  # fmt: skip
    changed = await admin("PATCH", path, body, If_Match=etag)
    assert changed.status == 200
    after = changed.json()
    assert after == provider | {"markup_percent": "20", "price_step": "0.01", "margin_floor_percent": "5",
                                "is_active": False, "probes": True}  # fmt: skip
    assert (await admin("GET", path)).json() == after
    late = await admin("PATCH", path, {"markup_percent": "30"}, If_Match=etag)
    assert (late.status, late.problem) == (412, "changed-meanwhile")
    assert (await admin("PATCH", path, {"price_step": None})).json()["price_step"] is None
    told = [line for line in await lines(admin, provider) if line["action"] == "admin_change_provider"]
    changes = [(line["before"].get(name), line["after"].get(name)) for line in told for name in line["after"]]
    assert ("10.0000", "20.0000") in changes
    assert ("hidden", "changed") in changes


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"markup_percent": 20}, 422),
        ({"markup_percent": "-101"}, 409),
        ({"exchange_rate": "0"}, 409),
        ({"dialect": "klingon"}, 409),
        ({"url": "ftp://panel.example"}, 409),
        ({"name": "two"}, 422),
        ({"max_in_flight": 0}, 422),
        ({"priority": None}, 422),
    ],
)
async def test_terms_that_make_no_sense_are_refused(
    admin: Native, panel: ScriptedPanel, body: dict[str, Any], status: int
) -> None:
    provider = await add(admin, panel)
    refused = await admin("PATCH", f"/v1/admin/providers/{provider['id']}", body)
    assert refused.status == status
    assert (await admin("GET", f"/v1/admin/providers/{provider['id']}")).json() == provider


async def test_a_markup_changes_prices_at_once(admin: Native, db: Database, settings: Settings,
                                               panel: ScriptedPanel) -> None:  # fmt: skip
    provider = await add(admin, panel)
    path = f"/v1/admin/providers/{provider['id']}"
    panel.answers["services"] = [listed(7)]
    await admin("POST", f"{path}/sync", {})
    assert await work(db, settings) == 1
    await admin("PATCH", path, {"markup_percent": "50"})
    async with db.connection() as connection:
        assert (
            str(await connection.fetchval("SELECT price_per_1000 FROM services WHERE name = 'Likes 7'")) == "1.50000000"
        )


async def test_a_pause_and_its_end_are_an_operators(admin: Native, panel: ScriptedPanel) -> None:
    provider = await add(admin, panel)
    path = f"/v1/admin/providers/{provider['id']}"
    paused = await admin("POST", f"{path}/pause", {"seconds": 600, "reason": "asked them"}, X_Request_Id="req-9")
    assert (paused.status, paused.json()["paused_reason"]) == (200, "asked them")
    assert paused.json()["paused_until"] is not None
    resumed = await admin("POST", f"{path}/resume")
    assert (resumed.status, resumed.json()) == (200, provider)
    end, begin, _ = await lines(admin, provider)
    assert (begin["action"], begin["reason"], begin["request_id"]) == ("admin_pause_provider", "asked them", "req-9")
    assert (end["action"], end["after"]["paused_until"]) == ("admin_resume_provider", None)


async def test_a_sync_is_told_before_it_is_wanted_and_done_by_the_worker(
    admin: Native, db: Database, settings: Settings, panel: ScriptedPanel
) -> None:
    provider = await add(admin, panel)
    path = f"/v1/admin/providers/{provider['id']}"
    panel.answers["services"] = [listed(7), listed(8, rate="2")]
    told = await admin("GET", f"{path}/sync")
    assert told.status == 200
    difference = told.json()
    assert (difference["new"], difference["changed"], difference["vanished"], difference["has_more"]) == (
        2,
        0,
        0,
        False,
    )
    assert [change["upstream_id"] for change in difference["changes"]] == ["7", "8"]
    assert (await admin("GET", path)).json() == provider
    wanted = await admin("POST", f"{path}/sync", {}, Idempotency_Key="s")
    assert (wanted.status, wanted.json()["sync_wanted"]) == (202, True)
    assert await work(db, settings) == 1
    assert await work(db, settings) == 0
    done = (await admin("GET", path)).json()
    assert (done["sync_wanted"], done["sync_error"], done["routes"]) == (False, None, 2)
    assert done["synced_at"] is not None
    again = await admin("POST", f"{path}/sync", {}, Idempotency_Key="s")
    assert again.body == wanted.body
    assert (await admin("GET", path)).json()["sync_wanted"] is False
    assert (await admin("GET", f"{path}/sync")).json()["new"] == 0
    assert "admin_sync_provider" in {line["action"] for line in await lines(admin, provider)}


async def test_a_list_that_shrank_is_taken_where_an_operator_says_so(
    admin: Native, db: Database, settings: Settings, panel: ScriptedPanel
) -> None:
    provider = await add(admin, panel)
    path = f"/v1/admin/providers/{provider['id']}"
    panel.answers["services"] = [listed(number) for number in range(1, 6)]
    await admin("POST", f"{path}/sync", {})
    assert await work(db, settings) == 1
    panel.answers["services"] = [listed(1)]
    refused = await admin("GET", f"{path}/sync")
    assert (refused.status, refused.problem) == (424, "provider-failed")
    assert (await admin("GET", f"{path}/sync?accept_shrunk=true")).json()["vanished"] == 4
    await admin("POST", f"{path}/sync", {})
    assert await work(db, settings) == 0
    failed = (await admin("GET", path)).json()
    assert failed["sync_wanted"] is False
    assert "less than half" in failed["sync_error"]
    await admin("POST", f"{path}/sync", {"accept_shrunk": True})
    assert await work(db, settings) == 1
    assert (await admin("GET", path)).json()["listed"] == 1


async def test_a_wish_outlives_the_sync_that_was_under_way(
    admin: Native, db: Database, settings: Settings, panel: ScriptedPanel
) -> None:
    provider = await add(admin, panel)
    path = f"/v1/admin/providers/{provider['id']}"

    panel.answers["services"] = [listed(7)]
    await admin("POST", f"{path}/sync", {})
    async with db.transaction() as tx:
        assert [wanted for _, wanted in await store.claim_due(tx, 60, 60, 8)] == ["usual"]
    await admin("POST", f"{path}/sync", {"accept_shrunk": True})
    async with db.transaction() as tx:
        await store.note_result(tx, provider["id"], None)
    assert (await admin("GET", path)).json()["sync_wanted"] is True
    async with db.transaction() as tx:
        assert [wanted for _, wanted in await store.claim_due(tx, 60, 60, 8)] == ["shrunk"]


async def test_a_provider_that_does_not_answer_is_told_apart_from_us(admin: Native, panel: ScriptedPanel) -> None:
    provider = await add(admin, panel)
    panel.status = 500
    failed = await admin("GET", f"/v1/admin/providers/{provider['id']}/sync")
    assert (failed.status, failed.problem) == (424, "provider-failed")
    sealed_by_others = (await admin("GET", "/v1/admin/providers")).json()["data"]
    for each in sealed_by_others:
        assert (await admin("GET", f"/v1/admin/providers/{each['id']}/sync")).status == 424


async def test_others_are_kept_out_and_what_never_was_is_not_found(api: Native, admin: Native) -> None:
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {}), ("POST", "/pause", {"seconds": 1}), ("POST", "/resume", None),
        ("POST", "/sync", {}), ("GET", "/sync", None),
    ):  # fmt: skip
        answers = [await admin(method, f"/v1/admin/providers/{name}{path}", body) for name in (uuid4(), "none")]
        assert {answer.status for answer in answers} == {404}
        assert answers[0].body == answers[1].body
        refused = await api(method, f"/v1/admin/providers/{uuid4()}{path}", body)
        assert (refused.status, refused.problem) == (403, "forbidden")
