"""What a capture cannot hold: slow, broken and vanishing clients, and a backend that fails."""

import asyncio
import logging

import pytest

from compat import PanelError, panel_app
from compat.errors import TOO_MANY_REQUESTS
from compat.forms import BODY_BYTES_MAX
from compat.server import ACTIONS, Message
from tests.compat.asgi_client import Reply, StubPanel, as_json, call
from tests.support.garbage import gone_at_once

BALANCE = b"key=secret&action=balance"
ADD = b"key=secret&action=add&service=1&link=https://example.com&quantity=100"
UNAVAILABLE = as_json({"error": "Service temporarily unavailable"})


def _told(reply: Reply | None) -> tuple[int, bytes]:
    assert reply is not None
    return reply.status, reply.body


async def test_a_body_may_come_in_pieces() -> None:
    pieces = [BALANCE[i : i + 3] for i in range(0, len(BALANCE), 3)]
    assert _told(await call(panel_app(StubPanel()), chunks=[*pieces, b""])) == (
        200,
        b'{"balance":"100.84292","currency":"USD"}',
    )


async def test_a_body_of_256_kib_is_read() -> None:
    body = BALANCE + b"&x="
    body += b"a" * (BODY_BYTES_MAX - len(body))
    assert _told(await call(panel_app(StubPanel()), chunks=[body]))[0] == 200


async def test_a_body_over_256_kib_is_refused_without_reading_the_rest() -> None:
    received = 0

    async def receive() -> Message:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"a" * 65536, "more_body": True}

    reply = await call(panel_app(StubPanel()), headers={"Content-Length": "9"}, receive=receive)

    assert _told(reply) == (413, as_json({"error": "Request too large"}))
    assert received == 5
    assert reply is not None
    assert reply.headers["connection"] == "close"


async def test_a_large_declared_length_is_refused_before_reading() -> None:
    async def receive() -> Message:
        raise AssertionError("the body was read")

    reply = await call(panel_app(StubPanel()), headers={"Content-Length": "262145"}, receive=receive)
    assert _told(reply)[0] == 413


async def test_a_body_that_does_not_end_in_time_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    reply = await call(panel_app(StubPanel(), body_timeout_s=0.01), receive=receive)
    assert _told(reply) == (400, as_json({"error": "Incorrect request"}))


async def test_a_client_that_goes_away_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    panel = StubPanel()
    assert await call(panel_app(panel), chunks=[]) is None
    assert (panel.seen, caplog.records) == ([], [])


async def test_a_client_that_is_gone_at_the_reply_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": BALANCE}

    async def send(_message: Message) -> None:
        raise BrokenPipeError

    scope = {"type": "http", "method": "POST", "headers": [], "path": "/"}
    await panel_app(StubPanel())(scope, receive, send)
    assert caplog.records == []


async def test_another_method_is_refused_with_a_status_of_the_protocol() -> None:
    reply = await call(panel_app(StubPanel()), "PUT", chunks=[BALANCE])
    assert _told(reply) == (400, as_json({"error": "Incorrect request"}))
    assert reply is not None
    assert "allow" not in reply.headers


async def test_head_gets_no_body_and_places_nothing() -> None:
    panel = StubPanel()
    reply = await call(panel_app(panel), "HEAD", path="/api/v2?" + ADD.decode())
    assert _told(reply) == (400, b"")
    assert (panel.seen, panel.added) == ([], [])


@pytest.mark.parametrize("body", [BALANCE, ADD, b"key=secret&action=services", b"key=secret&action=status&order=1"])
async def test_a_backend_that_breaks_is_a_503_in_the_log(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    panel = StubPanel(fault=RuntimeError("the database is away"))

    reply = await call(panel_app(panel), chunks=[body])

    assert _told(reply) == (503, UNAVAILABLE)
    record = caplog.records[0]
    assert (record.name, record.levelno) == ("compat.server", logging.ERROR)
    assert record.exc_info is not None
    assert "secret" not in caplog.text


async def test_a_failure_in_a_batch_of_orders_fails_the_whole_request() -> None:
    fault = PanelError("Service temporarily unavailable", status=503)
    reply = await call(panel_app(StubPanel(fault)), chunks=[b"key=secret&action=status&orders=1,2"])
    assert _told(reply) == (503, UNAVAILABLE)


async def test_a_refusal_goes_out_with_its_status_and_headers() -> None:
    fault = PanelError(TOO_MANY_REQUESTS, status=429, headers={"Retry-After": "7"})
    reply = await call(panel_app(StubPanel(fault)), chunks=[BALANCE])
    assert reply is not None
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert reply.body == as_json({"error": "Too many requests"})


async def test_a_refusal_before_anything_was_written_says_so() -> None:
    fault = PanelError("Service temporarily unavailable", status=503)
    fault.placed = False
    reply = await call(panel_app(StubPanel(fault)), chunks=[ADD])
    assert _told(reply) == (503, as_json({"error": "Service temporarily unavailable", "placed": False}))


@pytest.mark.parametrize(("body", "placed"), [(ADD, {"placed": False}), (BALANCE, {})])
async def test_more_requests_than_allowed_are_turned_away(body: bytes, placed: dict[str, bool]) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    class SlowPanel(StubPanel):
        async def identify(self, key: str, address: str) -> str:
            started.set()
            await finish.wait()
            return await super().identify(key, address)

    app = panel_app(SlowPanel(), max_in_flight=1)
    first = asyncio.create_task(call(app, chunks=[BALANCE]))
    await started.wait()

    second = await call(app, chunks=[body])
    finish.set()

    assert _told(second) == (503, as_json({"error": "Service temporarily unavailable", **placed}))
    assert _told(await first)[0] == 200
    assert _told(await call(app, chunks=[body]))[0] == 200


@pytest.mark.parametrize("action", ACTIONS)
async def test_no_action_is_done_that_the_backend_does_not_permit(action: str) -> None:
    class ClosedPanel(StubPanel):
        def permit(self, caller: str, action: str) -> None:
            super().permit(caller, action)
            raise PanelError("Not for you")

    panel = ClosedPanel(fault=AssertionError("it was done"))
    reply = await call(panel_app(panel), chunks=[f"key=secret&action={action}&order=1&refill=1".encode()])
    assert _told(reply) == (200, as_json({"error": "Not for you"}))
    assert panel.permitted == [action]


async def test_the_backend_hears_key_and_address_once() -> None:
    panel = StubPanel()
    await call(panel_app(panel), chunks=[BALANCE])
    assert panel.seen == [("secret", "192.0.2.7")]


async def test_the_extension_is_announced_where_it_is_offered() -> None:
    reply = await call(panel_app(StubPanel(idempotency=True)), chunks=[BALANCE])
    assert _told(reply)[1] == b'{"balance":"100.84292","currency":"USD","idempotency":true}'


@pytest.mark.parametrize(
    ("headers", "field", "expected"),
    [
        ({"Idempotency-Key": "from-header"}, b"", "from-header"),
        ({"Idempotency-Key": "from-header"}, b"&idempotency_key=from-field", "from-field"),
        ({}, b"", None),
    ],
)
async def test_an_idempotency_key_reaches_the_backend(
    headers: dict[str, str], field: bytes, expected: str | None
) -> None:
    panel = StubPanel()
    await call(panel_app(panel), headers=headers, chunks=[ADD + field])
    assert panel.added[0].fields.get("idempotency_key") == expected


async def test_media_url_is_media() -> None:
    panel = StubPanel()
    await call(panel_app(panel), chunks=[ADD + b"&media_url=https://example.com/m&foo=bar"])
    assert panel.added[0].fields == {
        "link": "https://example.com",
        "quantity": "100",
        "media": "https://example.com/m",
    }


async def test_raw_bytes_that_are_not_utf8_are_replaced() -> None:
    panel = StubPanel()
    await call(panel_app(panel), chunks=[ADD.replace(b"example", b"ex\xffmple")])
    assert panel.drafts[0].link == "https://ex\ufffdmple.com"


async def test_it_starts_and_stops_as_an_app_of_its_own() -> None:
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    said: list[str] = []

    async def receive() -> Message:
        return events.pop(0)

    async def send(message: Message) -> None:
        said.append(message["type"])

    await panel_app(StubPanel())({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_closed() -> None:
    said: list[str] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message["type"])

    await panel_app(StubPanel())({"type": "websocket"}, receive, send)
    assert said == ["websocket.close"]


async def test_a_refusal_is_gone_with_its_answer() -> None:
    app = panel_app(StubPanel())
    with gone_at_once(PanelError):
        assert _told(await call(app, chunks=[b"key=wrong&action=balance"])) == (
            200,
            as_json({"error": "Invalid API key"}),
        )
