"""The way from a path to what answers it, in front of Litestar."""

from collections.abc import Callable

from compat.server import ASGIApp, Receive, Scope, Send
from gateway.api.guide.page import guide, is_for_people
from gateway.api.v1.router import methods_of

__all__ = ["PANEL_PATHS", "ASGIApp", "switch"]

PANEL_PATHS = frozenset(path + slash for path in ("/api/v2", "/api/v1", "/api") for slash in ("", "/"))


def switch(find_panel: Callable[[], ASGIApp], other: ASGIApp) -> ASGIApp:
    """The panel's six paths go straight to it, for every method and without a redirect; the rest to `other`.

    A browser that opens `/api` gets the guide. OPTIONS on a path of the native API is answered here, since Litestar
    tells of one of its methods only. HEAD is GET to whatever stands behind: the server leaves the body out.

    The panel is asked for at each request, since there is none before the lifespan has begun.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in PANEL_PATHS:
            allowed = methods_of(scope["path"]) if scope.get("method") == "OPTIONS" else []
            answer = _tells(allowed) if allowed else other
            if scope.get("method") == "HEAD":
                scope = {**scope, "method": "GET"}
        else:
            answer = guide if is_for_people(scope) else find_panel()
        await answer(scope, receive, send)

    return app


def _tells(methods: list[str]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"allow", ", ".join(methods).encode())]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return app
