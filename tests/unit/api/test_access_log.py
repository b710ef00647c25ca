"""What is logged of a request, and what never is."""

import pytest
from structlog.testing import capture_logs

from compat.server import Message, Receive, Scope, Send
from gateway.api.access import logged
from gateway.request_log import RequestLine

SECRET = b"yb_secret"


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("gone")


async def receive_nothing() -> Message:
    return {"type": "http.disconnect"}


async def ignore(message: Message) -> None:
    return None


def request(raw_path: bytes = b"/api/v2") -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": "/api/v2",
        "raw_path": raw_path,
        "query_string": b"key=" + SECRET,
        "headers": [(b"authorization", b"Bearer " + SECRET)],
    }


async def test_a_line_has_method_path_status_and_duration_and_nothing_else() -> None:
    with capture_logs() as lines:
        await logged(respond)(request(), receive_nothing, ignore)
    [line] = lines
    assert line.pop("duration_ms") >= 0
    assert line == {"event": "request", "log_level": "info", "method": "POST", "path": "/api/v2", "status": 418}


async def test_a_query_that_a_server_leaves_in_the_path_is_not_logged() -> None:
    with capture_logs() as lines:
        await logged(respond)(request(b"/api/v2?key=" + SECRET), receive_nothing, ignore)
    assert SECRET.decode() not in str(lines)


async def test_a_key_in_the_path_is_not_logged() -> None:
    key = "yb_" + "x" * 36
    lines: list[RequestLine] = []
    await logged(respond, lines.append)(request(f"/v1/api-keys/{key}".encode()), receive_nothing, ignore)
    assert [line.path for line in lines] == ["/v1/api-keys/***"]


async def test_a_crash_is_logged_as_a_500_and_goes_on_to_the_server() -> None:
    with capture_logs() as lines, pytest.raises(LookupError):
        await logged(crash)(request(), receive_nothing, ignore)
    assert [line["status"] for line in lines] == [500]


async def test_a_lifespan_is_no_request() -> None:
    seen: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    with capture_logs() as lines:
        await logged(note)({"type": "lifespan"}, receive_nothing, ignore)
    assert (seen, lines) == (["lifespan"], [])
