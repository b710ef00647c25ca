"""The floors: servers that do nothing, as `python -m benchmarks.floors NAME [FILE]`.

They run in the very server, with the very options, of `gateway serve`; only `socket` has none, and is what
the load generator itself is measured against.
"""

import asyncio
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import uvloop

from gateway import serving
from gateway.settings import Settings

ANSWER = b'{"order":1234567}'
PATH = "/api/v2"


class _Form(msgspec.Struct):
    key: str
    action: str
    service: str
    quantity: str


def form_app(_file: bytes) -> Any:
    """F1: a form of four fields read, a fixed JSON answered, in Litestar."""
    from litestar import Litestar, post
    from litestar.enums import RequestEncodingType
    from litestar.params import Body

    @post(PATH, status_code=200)
    async def answer(data: Annotated[_Form, Body(media_type=RequestEncodingType.URL_ENCODED)]) -> dict[str, int]:
        return {"order": 1234567}

    return Litestar([answer], openapi_config=None, logging_config=None)


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """F2: the body read, fixed bytes answered, without a framework."""
    if scope["type"] == "lifespan":
        while (event := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{event}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def fastapi_app(_file: bytes) -> Any:
    """F2b: FastAPI's handler of the same form, which does nothing."""
    from fastapi import FastAPI, Form

    app = FastAPI(openapi_url=None)

    @app.post(PATH)
    async def answer(
        key: Annotated[str, Form()],
        action: Annotated[str, Form()],
        service: Annotated[str, Form()],
        quantity: Annotated[str, Form()],
    ) -> dict[str, int]:
        return {"order": 1234567}

    return app


def bytes_app(file: bytes) -> Any:
    """F5: a Litestar handler that answers with the bytes it was given."""
    from litestar import Litestar, MediaType, Response, post

    @post(PATH, status_code=200)
    async def answer() -> Response[bytes]:
        return Response(file, media_type=MediaType.JSON)

    return Litestar([answer], openapi_config=None, logging_config=None)


APPS: dict[str, Callable[[bytes], Any]] = {
    "form": form_app,
    "asgi": lambda _file: asgi_app,
    "fastapi": fastapi_app,
    "bytes": bytes_app,
}


class _Socket(asyncio.Protocol):
    """Fixed bytes for whatever arrives."""

    REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)

    def connection_made(self, transport: Any) -> None:
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        self._write(self.REPLY)


def main(name: str, file: bytes = b"") -> None:
    # Names with an underscore, so that a floor has what `gateway serve` has, whatever becomes of it.
    settings = Settings(bind="127.0.0.1:0")
    with serving._bind(settings.bind) as listening:
        announce = functools.partial(serving._announce, serving._address(listening), False)
        if name == "socket":
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve_socket(listening, announce))
        else:
            config = serving._config(settings, APPS[name](file))
            serving._Server(config, announce).run([listening])


async def _serve_socket(listening: Any, announce: Callable[[], None]) -> None:
    server = await asyncio.get_running_loop().create_server(_Socket, sock=listening)
    announce()
    await server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else b"")
