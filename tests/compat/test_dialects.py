"""What each dialect sends, as a panel hears it."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from compat.client import PanelClient
from compat.dialects import DIALECTS
from compat.failures import BadAnswer

Heard = list[tuple[str, dict[str, str], str]]


@pytest.fixture
async def panel() -> AsyncIterator[tuple[str, Heard]]:
    """The address of a panel, and what it heard: content type, fields and bearer of each call."""
    heard: Heard = []

    async def handle(request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in request.query.items()}
        if request.content_type == "application/json":
            fields |= await request.json()
        else:
            fields |= {name: str(value) for name, value in (await request.post()).items()}
        heard.append((request.content_type, fields, request.headers.get("Authorization", "")))
        return web.json_response({"order": 1})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2", heard
    await runner.cleanup()


@pytest.mark.parametrize("name", DIALECTS)
async def test_an_add_says_the_same_in_every_dialect(name: str, panel: tuple[str, Heard]) -> None:
    url, heard = panel
    dialect = DIALECTS[name]
    async with PanelClient(url, "the key", dialect=dialect) as client:
        await client.add("5", {"link": "https://e.example/?a=ü&b", "media": "m"})
    [(content_type, fields, bearer)] = heard
    keys = {"bearer": {}, "key": {"key": "the key"}, "api_token": {"api_token": "the key"}}[dialect.key]
    media = dialect.names.get("media", "media")
    assert fields == {"action": "add", "service": "5", "link": "https://e.example/?a=ü&b", media: "m"} | keys
    assert (content_type == "application/json") == (dialect.body == "json")
    assert bearer == ("Bearer the key" if dialect.key == "bearer" else "")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("standard", [{"action": "status", "orders": "1,2"}]),
        ("statuses", [{"action": "statuses", "orders": "1,2"}]),
        ("single", [{"action": "status", "order": "1"}, {"action": "status", "order": "2"}]),
    ],
)
async def test_the_status_of_many_is_asked_for_as_the_panel_wants(
    name: str, asked: list[dict[str, str]], panel: tuple[str, Heard]
) -> None:
    url, heard = panel
    async with PanelClient(url, "k", dialect=DIALECTS[name]) as client:
        await client.statuses(["1", "2"])
    assert [fields for _, fields, _ in heard] == [call | {"key": "k"} for call in asked]


async def test_a_panel_of_single_orders_is_asked_to_cancel_one_by_one(panel: tuple[str, Heard]) -> None:
    url, heard = panel
    async with PanelClient(url, "k", dialect=DIALECTS["single"]) as client:
        await client.cancel(["1", "2"])
    assert [fields.get("order") for _, fields, _ in heard] == ["1", "2"]


async def test_a_panel_of_single_orders_is_asked_about_refills_one_by_one(panel: tuple[str, Heard]) -> None:
    url, heard = panel
    async with PanelClient(url, "k", dialect=DIALECTS["single"]) as client:
        await client.refill_statuses(["1", "2"])
    assert [fields.get("refill") for _, fields, _ in heard] == ["1", "2"]


async def test_one_order_without_an_answer_hides_no_other() -> None:
    """Asked one by one, each has its own answer; a panel that fails for all is a failure."""
    answers = {"1": '{"status":"Completed"}', "2": "<html>", "3": '{"error":"archived"}', "4": '{"status":"Pending"}'}
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(str((await request.post())["order"]))
        return web.Response(text=answers.get(calls[-1], "<html>"))

    app = web.Application()
    app.router.add_post("/api/v2", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"
        async with PanelClient(url, "k", dialect=DIALECTS["single"]) as client:
            found = await client.statuses(["1", "2", "3", "4"])
            assert {order: report.word or report.error for order, report in found.items()} == {
                "1": "Completed",
                "3": "archived",
                "4": "Pending",
            }
            calls.clear()
            with pytest.raises(BadAnswer):
                await client.statuses([str(number) for number in range(10, 30)])
            assert len(calls) == 3
    finally:
        await runner.cleanup()
