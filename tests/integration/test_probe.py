"""`compat.probe` against our own gateway, the simulator and panels that are odd."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from compat.probe import Report, probe
from compat.simulator import Simulator
from gateway.db.engine import Database
from gateway.keyring import Keyring
from gateway.settings import load_settings
from tests.support.accounts import add_provider, add_reseller
from tests.support.serving import running

SECRET = "a-secret-of-more-than-thirty-two-characters"
Answer = Callable[[dict[str, str]], Any]


async def test_every_row_passes_against_our_own_gateway(db: Database, database_url: str, redis_url: str) -> None:
    settings = load_settings(
        {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_REDIS_URL": redis_url,
            "GATEWAY_SECRET_KEY": SECRET,
            "GATEWAY_ALLOW_PRIVATE_ADDRESSES": "true",
        },
        stored=False,
    )

    upstream = Simulator(key="k")
    try:
        await add_provider(db, settings, await upstream.start(), "k", markup="10")
        reseller = await add_reseller(db, Keyring(settings.secret_key), "10")
        async with running(settings) as url:
            report = await probe(f"{url}/api/v2", reseller.key, order=("1", "https://example.com/p/1", "100"))
    finally:
        await upstream.stop()
    assert [row for row in report.rows if row.passed is not True] == []
    assert report.dialect == "standard"
    assert {row.what for row in report.rows} >= {
        "services",
        "add",
        "status among many",
        "cancel",
        "GET",
        "bearer token",
    }


@pytest.fixture
async def odd_panel() -> AsyncIterator[Callable[[Answer], str]]:
    """A panel that answers what the test says to the fields of a form, a query or a JSON body."""
    answers: list[Answer] = []

    async def handle(request: web.Request) -> web.Response:
        fields = dict(request.query)
        if request.content_type == "application/json":
            fields |= await request.json() | {"json": "yes"}
        else:
            fields |= {name: str(value) for name, value in (await request.post()).items()}
        return web.json_response(answers[-1](fields))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def serve(answer: Answer) -> str:
        answers.append(answer)
        return f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"

    yield serve
    await runner.cleanup()


def found(report: Report, what: str) -> tuple[bool | None, str]:
    return next((row.passed, row.found) for row in report.rows if row.what == what)


async def test_how_types_and_words_differ_is_named(odd_panel: Callable[[Answer], str]) -> None:
    def answer(fields: dict[str, str]) -> Any:
        if fields.get("key") != "odd-key":
            return {"error": "API key is incorrect"}
        match fields.get("action"):
            case "balance":
                return {"balance": 12.5, "currency": "USD"}
            case "services":
                return [{"service": "7", "name": "A", "type": "Magic", "category": "C", "rate": 1, "min": 1, "max": 2}]
        return {"error": "Request Invalid"}

    report = await probe(odd_panel(answer), "odd-key")
    assert found(report, "balance") == (False, '{"balance":12.5,"currency":"USD"}')
    assert found(report, "wrong key") == (False, "API key is incorrect")
    assert found(report, "kinds of services") == (False, "Magic")
    assert "service is str" in found(report, "types of services")[1]
    assert "refill is absent" in found(report, "types of services")[1]
    assert found(report, "idempotency keys") == (None, "not offered")
    assert report.dialect == "single"


@pytest.mark.parametrize(
    ("dialect", "is_heard"),
    [
        ("json", lambda fields: "json" in fields and fields.get("key") == "odd-key"),
        ("token", lambda fields: "json" not in fields and fields.get("api_token") == "odd-key"),
    ],
)
async def test_the_dialect_of_a_panel_is_found(
    odd_panel: Callable[[Answer], str], dialect: str, is_heard: Callable[[dict[str, str]], bool]
) -> None:
    def answer(fields: dict[str, str]) -> Any:
        if not is_heard(fields):
            return {"error": "Invalid API key"}
        if fields.get("action") == "balance":
            return {"balance": "1", "currency": "USD"}
        return {order: {"error": "Incorrect order ID"} for order in fields.get("orders", "1").split(",")}

    report = await probe(odd_panel(answer), "odd-key")
    assert report.dialect == dialect
    for what in ("balance", "wrong key", "status of many", "status of 100"):
        assert found(report, what)[0] is True
    assert found(report, "JSON body")[0] is (dialect == "json")


async def test_a_panel_that_echoes_the_key_does_not_get_it_shown(odd_panel: Callable[[Answer], str]) -> None:
    report = await probe(odd_panel(lambda fields: {"error": f"{fields} is wrong"}), "hunter2-hunter2")
    assert "hunter2" not in str(report.rows)
    assert any("*" in row.found for row in report.rows)


async def test_a_key_that_json_escapes_is_not_shown_either(odd_panel: Callable[[Answer], str]) -> None:
    report = await probe(odd_panel(lambda fields: {"error": f"{fields.get('key')} is wrong"}), 'hun"ter2')
    assert "ter2" not in str(report.rows)


async def test_a_panel_that_is_not_there_is_one_row() -> None:
    report = await probe("http://127.0.0.1:9/api/v2", "k", timeout_s=1)
    assert report.dialect is None
    assert [row.passed for row in report.rows] == [False]
    with pytest.raises(ValueError, match="http"):
        await probe("panel.example", "k")
