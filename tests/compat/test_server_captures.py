"""Each golden capture: a request as some client sends it, and the exact reply it must get."""

from pathlib import Path

import msgspec
import pytest

from compat import panel_app
from tests.compat.asgi_client import StubPanel, call

CAPTURES = sorted((Path(__file__).parent / "captures" / "server").glob("*.json"))


class Request(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    path: str
    headers: dict[str, str] = {}
    body: str = ""


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    body: str


class Capture(msgspec.Struct, forbid_unknown_fields=True):
    """`placed` is what the panel was told to place, where the request is an `add`; `asked` the orders."""

    request: Request
    reply: Expected
    about: str = ""
    placed: dict[str, object] | None = None
    asked: list[int] | None = None


@pytest.fixture(params=CAPTURES, ids=lambda path: str(path.stem))
def capture(request: pytest.FixtureRequest) -> Capture:
    path: Path = request.param
    return msgspec.json.decode(path.read_bytes(), type=Capture)


async def test_a_request_gets_the_reply_of_its_capture(capture: Capture) -> None:
    panel = StubPanel()
    sent = capture.request
    body = sent.body.encode("utf-8")

    reply = await call(panel_app(panel), sent.method, sent.path, sent.headers, [body])

    assert reply is not None
    assert (reply.status, reply.body.decode()) == (capture.reply.status, capture.reply.body)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert [msgspec.to_builtins(draft) for draft in panel.drafts] == ([capture.placed] if capture.placed else [])
    if capture.asked is not None:
        assert [list(orders) for orders in panel.asked] == [capture.asked]


def test_there_are_captures() -> None:
    assert len(CAPTURES) > 50
