"""The way from a path to what answers it, in front of Litestar."""

from collections.abc import Callable

from compat.server import ASGIApp, Receive, Scope, Send
from gateway.api.guide.page import guide, is_for_people

__all__ = ["PANEL_PATHS", "ASGIApp", "switch"]

PANEL_PATHS = frozenset(path + slash for path in ("/api/v2", "/api/v1", "/api") for slash in ("", "/"))


def switch(find_panel: Callable[[], ASGIApp], other: ASGIApp) -> ASGIApp:
    """The panel's six paths go straight to it, for every method and without a redirect; the rest to `other`.

    A browser that opens `/api` gets the guide.

    The panel is asked for at each request, since there is none before the lifespan has begun.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in PANEL_PATHS:
            answer = other
        else:
            answer = guide if is_for_people(scope) else find_panel()
        await answer(scope, receive, send)

    return app
