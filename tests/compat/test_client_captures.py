"""Each golden reply of an upstream, served over real HTTP, is read as its capture says."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from compat.client import PanelClient
from compat.failures import BadAnswer, UpstreamError, UpstreamRefusal
from compat.replies import ServiceList
from compat.wire import Unknown

CAPTURES = {
    path.stem: msgspec.json.decode(path.read_bytes())
    for path in sorted((Path(__file__).parent / "captures" / "client").glob("*.json"))
}
KEY = "the-key-of-this-panel"

Serve = Callable[[web.Response], str]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Listen with one answer to everything, which the test gives."""
    answers: list[web.Response] = []

    async def answer(request: web.Request) -> web.Response:
        return answers[-1]

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def put(response: web.Response) -> str:
        answers.append(response)
        return f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"

    yield put
    await runner.cleanup()


async def call(panel: PanelClient, capture: dict[str, Any]) -> object:
    """The result as plain JSON values, to compare with what the capture expects."""
    match capture["call"]:
        case "add":
            outcome = await panel.add("1", {"link": "https://example.com/p/1", "quantity": "100"})
            plain = {"outcome": type(outcome).__name__, **msgspec.to_builtins(outcome)}
            plain.pop("evidence", None)
            return plain
        case "statuses":
            return {"reports": _plain(await panel.statuses(capture["ids"]))}
        case "refill":
            return _plain(await panel.refill(capture["ids"][0]))
        case "refills" | "refill_statuses" | "cancel" as name:
            return _plain(await getattr(panel, name)(capture["ids"]))
        case "services":
            services = await panel.services()
            assert isinstance(services, ServiceList)
            rows = _plain(list(services))
            assert [row.pop("average_time") for row in rows] == [None] * len(rows)
            return {"services": rows, "skipped": services.skipped}
    return _plain(await panel.balance())


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value)


def _amounts(value: Any) -> Any:
    """Decimals compare as numbers, not as digits."""
    if isinstance(value, dict):
        return {
            name: Decimal(item) if name in ("charge", "rate", "balance") and isinstance(item, str) else _amounts(item)
            for name, item in value.items()
        }
    return [_amounts(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", CAPTURES)
async def test_a_golden_reply_is_read_as_written(name: str, serve: Serve) -> None:
    capture = CAPTURES[name]
    reply, expected = capture["reply"], capture["expect"]
    url = serve(web.Response(status=reply["status"], body=reply["body"].encode(), headers=reply["headers"]))
    async with PanelClient(url, KEY, timeout_s=5, honours_extension=capture.get("honours_extension", False)) as panel:
        try:
            got = await call(panel, capture)
        except (BadAnswer, UpstreamRefusal) as error:
            got = {"error": type(error).__name__, "text": str(error)}
    assert _amounts(got) == _amounts(expected)


async def test_evidence_is_bounded_and_never_holds_the_key(serve: Serve) -> None:
    page = f"<html>{KEY}\x00 {'x' * 1980} {KEY} {KEY}{'y' * 9000}</html>"
    url = serve(web.Response(body=page.encode(), headers={"Content-Type": "text/html"}))
    async with PanelClient(url, KEY) as panel:
        outcome = await panel.add("1", {})
    assert isinstance(outcome, Unknown)
    assert "<html>" in outcome.evidence
    assert len(outcome.evidence) == 2048
    assert KEY[:8] not in outcome.evidence
    assert "\x00" not in outcome.evidence


async def test_the_key_is_masked_in_an_upstreams_own_words(serve: Serve) -> None:
    url = serve(web.json_response({"error": f"Key {KEY} is blocked"}))
    async with PanelClient(url, KEY) as panel:
        with pytest.raises(UpstreamError) as caught:
            await panel.balance()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("call", ["statuses", "refills", "refill_statuses", "cancel"])
async def test_the_key_is_masked_in_the_words_about_one_order_too(call: str, serve: Serve) -> None:
    words = f"Key {KEY} is blocked"
    url = serve(web.json_response({"7": {"error": words}, "8": {"status": words}}))
    async with PanelClient(url, KEY) as panel:
        said = repr(await getattr(panel, call)(["7", "8"]))
    assert "is blocked" in said
    assert KEY not in said


async def test_a_bomb_of_gzip_is_unknown_and_read_only_to_the_limit(serve: Serve) -> None:
    response = web.Response(body=b" " * (30 * 1024 * 1024), headers={"Content-Type": "application/json"})
    response.enable_compression(web.ContentCoding.gzip)
    url = serve(response)
    async with PanelClient(url, KEY, max_body_bytes=65536) as panel:
        outcome = await panel.add("1", {})
    assert isinstance(outcome, Unknown)
    assert outcome.reason == "a body of more than 65536 bytes"


async def test_only_http_addresses_are_panels() -> None:
    for url in ("ftp://panel.example/api/v2", "panel.example/api/v2", "http://", ""):
        with pytest.raises(ValueError, match="begins with http"):
            PanelClient(url, KEY)


@pytest.mark.parametrize("spelled", ["Zm9v/Ym+Fy", "Zm9v\\/Ym+Fy", "Zm9v/Ym%2BFy", "Zm9v%2FYm%2BFy"])
async def test_evidence_hides_the_key_as_other_software_spells_it(spelled: str, serve: Serve) -> None:
    url = serve(web.Response(body=f"<p>{spelled}</p>".encode()))
    async with PanelClient(url, "Zm9v/Ym+Fy") as panel:
        outcome = await panel.add("1", {})
    assert isinstance(outcome, Unknown)
    assert "Zm9v" not in outcome.evidence
