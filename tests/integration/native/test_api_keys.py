"""`/v1/api-keys`: issued within the caller's own bounds, shown once, rotated, revoked."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest

from gateway.db.engine import Database
from tests.support.faults import eventually
from tests.support.native import Native, Standing

ORDER = {"service": 1, "link": "https://example.com/p/1", "quantity": 100}


async def issued(api: Native, **terms: object) -> tuple[dict[str, object], Native]:
    reply = await api("POST", "/v1/api-keys", {"name": "bot", **terms})
    assert reply.status == 201, reply.body
    key = reply.json()
    return key, Native(api.http, api.url, key["key"])


async def test_a_key_is_shown_once_and_does_what_it_may(db: Database, api: Native) -> None:
    key, bot = await issued(api, scopes=["orders:read", "orders:write"], daily_spend_cap="0.10")
    shown = (await api("GET", f"/v1/api-keys/{key['id']}")).json()
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert (await bot("POST", "/v1/orders", ORDER)).status == 201
    capped = await bot("POST", "/v1/orders", ORDER)
    assert (capped.status, capped.problem) == (402, "spend-cap-reached")
    for path in ("/v1/balance", "/v1/services", "/v1/ledger", "/v1/api-keys", "/v1/webhooks"):
        refused = await bot("GET", path)
        assert (refused.status, refused.problem) == (403, "forbidden")
    assert (await api("GET", f"/v1/api-keys/{key['id']}")).json()["spent_today"] == "0.09"
    async with db.connection() as connection:
        told = await connection.fetchval("SELECT string_agg(t::text, '') FROM audit_log t")
    assert str(key["key"]) not in told


async def test_a_retry_of_the_issue_shows_the_same_key(api: Native) -> None:
    first, again = [await api("POST", "/v1/api-keys", {"name": "x"}, Idempotency_Key="k") for _ in range(2)]
    assert (first.body, again.headers["Idempotency-Replayed"]) == (again.body, "true")
    assert len((await api("GET", "/v1/api-keys")).json()["data"]) == 2


async def test_no_other_key_of_the_user_is_shown_the_answer_again(api: Native) -> None:
    """It may have a secret in it that the other key may not hand out."""
    _, keeper = await issued(api, scopes=["keys:write"])
    key, _ = await issued(api)
    for path, body in (("/v1/api-keys", {"name": "x"}), (f"/v1/api-keys/{key['id']}/rotate", {})):
        assert (await api("POST", path, body, Idempotency_Key=path)).status < 300
        other = await keeper("POST", path, body, Idempotency_Key=path)
        assert (other.status, other.problem) == (422, "idempotency-mismatch")
        assert "Idempotency-Replayed" in (await api("POST", path, body, Idempotency_Key=path)).headers


async def test_no_key_grants_more_than_it_has(api: Native) -> None:
    _, keeper = await issued(
        api, scopes=["keys:write", "orders:read"], allowed_addresses=["127.0.0.0/8", "::1"],
        expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat(),
    )  # fmt: skip
    for terms, status in (
        ({"scopes": ["orders:write"]}, 403),
        ({"scopes": ["admin:*"]}, 403),
        ({"allowed_addresses": ["0.0.0.0/0"]}, 422),
        ({"expires_at": "2999-01-01T00:00:00Z"}, 422),
    ):
        refused = await keeper("POST", "/v1/api-keys", {"name": "more", **terms})
        assert refused.status == status, terms
    same, _ = await issued(keeper)
    assert same["scopes"] == ["orders:read", "keys:write"]
    [whole] = [key for key in (await api("GET", "/v1/api-keys")).json()["data"] if key["scopes"] is None]
    for method, end, body in (("PATCH", "", {"name": "mine"}), ("POST", "/rotate", {})):
        refused = await keeper(method, f"/v1/api-keys/{whole['id']}{end}", body)
        assert refused.status == 403


async def test_another_address_is_refused(http: aiohttp.ClientSession, api: Native) -> None:
    _, bot = await issued(api, allowed_addresses=["203.0.113.0/24"])
    refused = await bot("GET", "/v1/orders")
    assert (refused.status, refused.problem) == (403, "address-not-allowed")
    believed = await bot("GET", "/v1/orders", X_Forwarded_For="203.0.113.9")
    assert believed.status == 200


async def test_a_rotation_keeps_the_id_and_for_a_while_the_old_secret(api: Native) -> None:
    key, bot = await issued(api)
    rotated = await api("POST", f"/v1/api-keys/{key['id']}/rotate", {"overlap_s": 60}, Idempotency_Key="r")
    assert (rotated.status, rotated.json()["id"]) == (200, key["id"])
    assert rotated.json()["key"] != key["key"]
    for secret in (key["key"], rotated.json()["key"]):
        assert (await bot("GET", "/v1/orders", Authorization=f"Bearer {secret}")).status == 200
    await api("POST", f"/v1/api-keys/{key['id']}/rotate", {"overlap_s": 0})

    async def both_ended() -> bool:
        secrets = (key["key"], rotated.json()["key"])
        return {(await bot("GET", "/v1/orders", Authorization=f"Bearer {each}")).status for each in secrets} == {401}

    await eventually(both_ended)


async def test_a_change_and_a_revocation_are_in_force_at_once(api: Native) -> None:
    key, bot = await issued(api)
    path = f"/v1/api-keys/{key['id']}"
    tag = (await api("GET", path)).headers["ETag"]
    changed = await api("PATCH", path, {"scopes": ["orders:read"], "name": "reader"}, If_Match=tag)
    assert (changed.json()["name"], changed.json()["scopes"]) == ("reader", ["orders:read"])
    assert (await api("PATCH", path, {"name": "x"}, If_Match=tag)).status == 412

    async def is_forbidden() -> bool:
        return (await bot("POST", "/v1/orders", ORDER)).status == 403

    await eventually(is_forbidden)
    assert (await api("DELETE", path)).status == 204

    async def is_out() -> bool:
        return (await bot("GET", "/v1/orders")).status == 401

    await eventually(is_out)
    refused = await api("POST", f"{path}/rotate", {})
    assert (refused.status, refused.problem) == (409, "conflict")


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ({"allowed_addresses": ["10.0.0.1/8"]}, "$.allowed_addresses[0]"),
        ({"scopes": ["everything"]}, "$.scopes[0]"),
        ({"daily_spend_cap": 5}, "$.daily_spend_cap"),
        ({"expires_at": "2026-12-31T00:00:00"}, "$.expires_at"),
        ({"tier": "enterprise"}, "$.tier"),
    ],
)
async def test_terms_that_make_no_sense_are_named(standing: Standing, terms: dict[str, object], path: str) -> None:
    refused = await standing.reseller("POST", "/v1/api-keys", {"name": "bot", **terms})
    assert (refused.status, [fault["path"] for fault in refused.json()["errors"]]) == (422, [path])


async def test_keys_are_bounded_and_of_their_owner_alone(api: Native, other: Native) -> None:
    key, _ = await issued(api)
    for method, end, body in (("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", "/rotate", {})):
        answers = [await other(method, f"/v1/api-keys/{name}{end}", body) for name in (key["id"], uuid4(), "x")]
        assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
    for _ in range(18):
        await issued(api)
    full = await api("POST", "/v1/api-keys", {"name": "bot"})
    assert (full.status, full.problem) == (409, "conflict")


async def test_what_happens_to_a_key_is_told_once_and_in_order(db: Database, api: Native) -> None:
    key, _ = await issued(api)
    path = f"/v1/api-keys/{key['id']}"
    await api("PATCH", path, {"name": "other"})
    await api("POST", f"{path}/rotate", {"overlap_s": 0})
    await api("DELETE", path)
    await api("DELETE", path)
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT type, sequence, data FROM events WHERE object_id = $1 ORDER BY sequence", key["id"]
        )
    assert [(row["type"], row["sequence"]) for row in rows] == [
        ("key.created", 1), ("key.changed", 2), ("key.rotated", 3), ("key.revoked", 4),
    ]  # fmt: skip
    assert rows[1]["data"] == {"name": "other"}


async def test_of_changes_at_once_with_one_tag_the_first_alone_is_made(api: Native) -> None:
    key, _ = await issued(api)
    path = f"/v1/api-keys/{key['id']}"
    tag = (await api("GET", path)).headers["ETag"]
    replies = await asyncio.gather(*(api("PATCH", path, {"name": f"n{n}"}, If_Match=tag) for n in range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [412] * 7
