"""A panel that takes one id a call: a call that fails costs no other its answer."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from compat.client import PanelClient
from compat.dialects import DIALECTS
from compat.failures import FAILURES_MAX, BadAnswer, UpstreamRefusal

REPLIES = {"status": {"status": "Completed"}, "cancel": {"cancel": 1}, "refill_status": {"status": "Completed"}}


class Panel:
    """Answers each id, those in `broken` with a 500 and all with `error` where there is one."""

    def __init__(self) -> None:
        self.url = ""
        self.broken: set[str] = set()
        self.error = ""
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        fields = await request.post()
        one = str(fields.get("order") or fields.get("refill"))
        self.asked.append(one)
        if one in self.broken:
            return web.Response(status=500, text="<html>")
        return web.json_response({"error": self.error} if self.error else REPLIES[str(fields["action"])])


@pytest.fixture
async def panel() -> AsyncIterator[Panel]:
    panel = Panel()
    app = web.Application()
    app.router.add_post("/{path:.*}", panel.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    panel.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"
    yield panel
    await runner.cleanup()


METHODS = pytest.mark.parametrize("method", ["statuses", "cancel", "refill_statuses"])


@METHODS
async def test_an_id_whose_call_fails_is_left_out(panel: Panel, method: str) -> None:
    panel.broken = {"1", "3"}
    async with PanelClient(panel.url, "0123456789abcdef", dialect=DIALECTS["single"]) as client:
        assert list(await getattr(client, method)(["1", "2", "3", "4"])) == ["2", "4"]


@METHODS
async def test_a_panel_that_is_down_is_left_alone_after_a_few_calls(panel: Panel, method: str) -> None:
    ids = [str(number) for number in range(1, 101)]
    panel.broken = set(ids)
    async with PanelClient(panel.url, "0123456789abcdef", dialect=DIALECTS["single"]) as client:
        with pytest.raises(BadAnswer):
            await getattr(client, method)(ids)
    assert len(panel.asked) == FAILURES_MAX


@METHODS
@pytest.mark.parametrize("error", ["Invalid API key", "Too many requests"])
async def test_a_refusal_of_us_ends_the_round(panel: Panel, method: str, error: str) -> None:
    panel.error = error
    async with PanelClient(panel.url, "0123456789abcdef", dialect=DIALECTS["single"]) as client:
        with pytest.raises(UpstreamRefusal, match=error):
            await getattr(client, method)(["1", "2"])
    assert panel.asked == ["1"]
