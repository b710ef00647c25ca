"""The HTTP side of the gateway on a port of its own, in the test's event loop or as a process."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import uvicorn

from gateway.app import create_app
from gateway.processes import find_free_port
from gateway.settings import Settings

_SERVE = """
import os
from gateway.serving import serve
from gateway.settings import load_settings
if __name__ == "__main__":
    serve(load_settings(os.environ))
"""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The address that the app answers at while the block runs."""
    port = find_free_port()
    trusted = settings.trusted_proxies
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            port=port,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=bool(trusted),
            forwarded_allow_ips=trusted,
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done(), "the app did not start"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def served(
    environ: Mapping[str, str], stderr: int | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A serving process with these settings, and the address that it announced; `stderr` as of subprocess."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVE, env={**inherited, **environ}, stdout=asyncio.subprocess.PIPE, stderr=stderr
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on http://"), "it did not start"
        yield process, line.removeprefix("listening on ").strip()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
