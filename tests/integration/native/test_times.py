"""Times that no calendar of ours has: of everything and of nothing, and never an error of ours."""

from urllib.parse import quote

import pytest

from tests.support.native import Native

LONG_AGO = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00", "1969-12-31T23:59:59Z")
NEVER = ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:00")


@pytest.mark.parametrize("time", [*LONG_AGO, *NEVER])
async def test_a_time_outside_the_calendar_is_before_or_after_everything(api: Native, time: str) -> None:
    await api("POST", "/v1/orders", {"service": 1, "link": "https://example.com/p/1", "quantity": 100})
    for path, count in (("orders", 1), ("ledger", 2)):
        for name, all_when in (("since", LONG_AGO), ("until", NEVER)):
            listed = await api("GET", f"/v1/{path}?{name}={quote(time)}")
            assert listed.status == 200
            assert len(listed.json()["data"]) == (count if time in all_when else 0)
    then = await api("GET", f"/v1/balance?at={quote(time)}")
    assert (then.status, then.json()["hold"]) == (200, "0.09" if time in NEVER else "0")
    for query in (f"since={quote(time)}", f"since=2026-01-01T00:00:00Z&until={quote(time)}"):
        refused = await api("GET", f"/v1/ledger/statement?{query}")
        assert (refused.status, refused.problem) == (422, "invalid")


@pytest.mark.parametrize("time", [*LONG_AGO, *NEVER])
async def test_a_key_may_expire_whenever(api: Native, time: str) -> None:
    issued = await api("POST", "/v1/api-keys", {"name": "x", "expires_at": time})
    assert issued.status == 201
