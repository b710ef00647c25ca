"""An upstream panel over real HTTP whose answers the test gives."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class ScriptedPanel:
    """Answers each action with what `answers` has for it, or makes of its fields.

    Those that are `gated` wait while `gate` is closed.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Any] = {"services": [], "balance": {"balance": "1", "currency": "USD"}}
        self.status = 200
        self.calls: list[dict[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.gated = {"add"}

    def called(self, action: str) -> int:
        return sum(call["action"] == action for call in self.calls)

    async def handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.calls.append(form)
        if form["action"] in self.gated:
            await self.gate.wait()
        answer = self.answers.get(form["action"])
        return web.json_response(answer(form) if callable(answer) else answer, status=self.status)


@asynccontextmanager
async def open_panel() -> AsyncIterator[ScriptedPanel]:
    panel = ScriptedPanel()
    app = web.Application()
    app.router.add_post("/api/v2", panel.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    panel.url = f"http://127.0.0.1:{port}/api/v2"
    try:
        yield panel
    finally:
        panel.gate.set()
        await runner.cleanup()


async def until(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
